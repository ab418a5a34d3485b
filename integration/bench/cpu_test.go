package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20"
	for _, tc := range []struct {
		name, text string
		want       time.Duration
		fails      bool
	}{
		{"plain", "42 (bench)" + rest, 1750 * time.Millisecond, false},
		{"name with spaces and parentheses", "42 (a) b (c))" + rest, 1750 * time.Millisecond, false},
		{"no name", "42 bench" + rest, 0, true},
		{"cut off", "42 (bench) S 1 2 3 4 5 6 7 8 9 10 150", 0, true},
		{"no number", "42 (bench) S 1 2 3 4 5 6 7 8 9 10 x 25 0", 0, true},
	} {
		got, err := parseStat([]byte(tc.text))
		if (err != nil) != tc.fails || !tc.fails && got != tc.want {
			t.Errorf("%s: %v, %v, want %v", tc.name, got, err, tc.want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tbench\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\nRssFile:\t 1 kB\n"
	got, err := parseStatus(text)
	if err != nil || got != (memory{All: 2 << 20, Anonymous: 1 << 20}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, broken := range []string{"", "VmRSS:\t2048 kB\n", "VmRSS:\t2048\nRssAnon:\t1024 kB\n", "XVmRSS:\t1 kB\nRssAnon:\t1 kB\n"} {
		if got, err := parseStatus(broken); err == nil {
			t.Errorf("%q: %v and no error", broken, got)
		}
	}
}

func TestParseConnections(t *testing.T) {
	const text = `  sl  local_address rem_address   st
   0: 0100007F:1F90 00000000:0000 0A
   1: 0100007F:C001 0100007F:1F90 01
   2: 0100007F:C002 0100007F:1F90 06
   3: 0100007F:C003 0100007F:1F91 01
`
	got, err := parseConnections(text, "8080")
	if err != nil || len(got) != 2 || !got["0100007F:C001"] || !got["0100007F:C002"] {
		t.Errorf("%v, %v: want the two to port 8080, and neither the listener nor the one to 8081", got, err)
	}
	if _, err := parseConnections(text, "http"); err == nil {
		t.Error("a port that is no number was taken")
	}
}

// TestOwnProcess reads the real files.
func TestOwnProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	if m, err := memoryOf(os.Getpid()); err != nil || m.All < 1<<20 || m.Anonymous > m.All {
		t.Errorf("%+v, %v", m, err)
	}
}
