package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func events(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func ev(action, test, output string) string {
	return fmt.Sprintf(`{"Action":%q,"Package":"p","Test":%q,"Output":%q}`, action, test, output)
}

func TestRun(t *testing.T) {
	tests := []struct {
		name, list, stream string
		ok                 bool
		want               []string
	}{
		{"shown by a test", "UG-43\ttest\n", events(ev("pass", "TestUG_43_NeedInfo", "")), true, []string{"1 passed, 0 failed"}},
		{"shown by a subtest", "UG-43\ttest\n", events(ev("pass", "TestX/UG-43_need_info", "")), true, nil},
		{"two ids in one name", "UG-43\ttest\nSEC-01\ttest\n", events(ev("pass", "TestUG_43_SEC_01_Both", "")), true, nil},
		{"long prefix", "CA-EXT-01\ttest\nCA-01\tlater\n", events(ev("pass", "TestCA_EXT_01", "")), true, []string{"1 later, 0 review, 1 test, 0 unsupported"}},
		{"not shown", "UG-43\ttest\nUG-44\ttest\n", events(ev("pass", "TestUG_43", "")), false, []string{"FAIL: UG-44 is marked test", "1 passed, 1 failed"}},
		{"shown by a test that failed", "UG-43\ttest\n", events(ev("pass", "TestX", ""), ev("fail", "TestUG_43", "")), false, []string{"FAIL: UG-43 is marked test", "1 passed, 2 failed"}},
		{"shown by a test that was skipped", "UG-43\ttest\n", events(ev("pass", "TestX", ""), ev("output", "TestUG_43", "no PostgreSQL\n"), ev("skip", "TestUG_43", "")), false, []string{"no PostgreSQL", "1 skipped"}},
		{"shown by a test that only began", "UG-43\ttest\n", events(ev("pass", "TestX", ""), ev("run", "TestUG_43", "")), false, nil},
		{"id inside a word", "UG-43\ttest\n", events(ev("pass", "TestBUG_43", "")), false, nil},
		{"longer number", "UG-43\ttest\n", events(ev("pass", "TestUG_430", "")), false, []string{"UG-430 stands in the name of a test, but not in the list"}},
		{"later", "UG-43\tlater\nUG-44\tlater\n", events(ev("pass", "TestUG_43", "")), true, []string{"UG-43 is marked later, but a test that carries it passed"}},
		{"unsupported but shown", "UG-43\tunsupported: no need\n", events(ev("pass", "TestUG_43", "")), true, []string{"UG-43 is marked unsupported"}},
		{"review", "UG-43\treview: internal/uma/x.go: constant time\n", events(ev("pass", "TestX", "")), true, nil},
		{"unknown id", "UG-43\tlater\n", events(ev("pass", "TestUG_99", "")), false, []string{"FAIL: UG-99 stands in the name of a test"}},
		{"nothing ran", "UG-43\tlater\n", "", false, []string{"FAIL: no test passed", "0 passed, 1 failed"}},
		{
			"package that does not build", "UG-43\tlater\n",
			events(`{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined: y\n"}`, ev("pass", "TestX", ""), `{"Action":"fail","Package":"q","FailedBuild":"q"}`),
			false,
			[]string{"x.go:1: undefined: y", "1 passed, 1 failed"},
		},
		{
			"package that ended in the middle", "UG-43\tlater\n",
			events(ev("pass", "TestX", ""), ev("run", "TestY", ""), ev("output", "TestY", "panic: out of time\n"), ev("fail", "", "")),
			false,
			[]string{"panic: out of time", "1 passed, 1 failed"},
		},
		{"text that is no event", "UG-43\tlater\n", events("go: no such module", ev("pass", "TestX", "")), true, []string{"go: no such module"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "requirements.txt")
			if err := os.WriteFile(file, []byte(tt.list), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			ok, err := run(strings.NewReader(tt.stream), &out, file, false)
			if err != nil || ok != tt.ok {
				t.Errorf("run = %v, %v, want %v\n%s", ok, err, tt.ok, &out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; !strings.HasSuffix(last, " failed") {
				t.Errorf("the last line is %q", last)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	stream := events(
		ev("run", "TestGood", ""), ev("output", "TestGood", "=== RUN   TestGood\n"), ev("output", "TestGood", "chatter\n"), ev("pass", "TestGood", ""),
		ev("run", "TestBad", ""), ev("output", "TestBad", "=== RUN   TestBad\n"), ev("output", "TestBad", "    x_test.go:1: wrong\n"), ev("output", "TestBad", "--- FAIL: TestBad\n"), ev("fail", "TestBad", ""),
		ev("output", "", "FAIL\n"), ev("output", "", "FAIL\tp\t0.1s\n"), ev("fail", "", ""),
	)
	var out bytes.Buffer
	r, err := follow(strings.NewReader(stream), &out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("    x_test.go:1: wrong\n--- FAIL: TestBad\nFAIL\tp\t0.1s\n", out.String()); diff != "" {
		t.Error(diff)
	}
	if len(r.passed) != 1 || r.failed != 1 {
		t.Errorf("%d passed, %d failed, want 1 and 1", len(r.passed), r.failed)
	}
}

func TestUpdate(t *testing.T) {
	l, err := parse("# comment\n\nUG-43\tlater\nUG-44\tlater\nUG-45\tunsupported: x\nUG-46\tlater: the other half\n")
	if err != nil {
		t.Fatal(err)
	}
	passed := []string{"TestUG_43", "TestX/UG-45_a"}
	if !l.update(passed) {
		t.Error("update = false, want true")
	}
	if diff := cmp.Diff("# comment\n\nUG-43\ttest\nUG-44\tlater\nUG-45\tunsupported: x\nUG-46\tlater: the other half\n", l.String()); diff != "" {
		t.Error(diff)
	}
	if l.update(passed) {
		t.Error("second update = true, want false")
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "no requirement",
		"# only\n":                 "no requirement",
		"UG-43 test\n":             "is no requirement",
		"UG-43\n":                  "is no requirement",
		"ug-43\ttest\n":            "is no requirement",
		"UG-4\ttest\n":             "is no requirement",
		"UG-43\tdone\n":            `the state "done"`,
		"UG-43\ttest \n":           `the state "test "`,
		"UG-43\treview:\n":         `the state "review:"`,
		"UG-43\tunsupported: \n":   "the state",
		"UG-43\ttest\nUG-43\ttest": "line 2: UG-43 stands there twice",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%q) = %v, want %q", text, err, want)
		}
	}
}

// TestList holds the list of this repository to its form.
func TestList(t *testing.T) {
	text, err := os.ReadFile("../requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if l.String() != string(text) {
		t.Error("the list does not survive an update unchanged")
	}
}
