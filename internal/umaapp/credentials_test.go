package umaapp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKeyFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct{ path, want string }{
		"the most":       {write("most", 256<<10), ""},
		"a byte more":    {write("more", 256<<10+1), "larger than 256 KiB"},
		"one byte":       {write("one", 1), ""},
		"empty":          {write("empty", 0), "is empty"},
		"missing":        {filepath.Join(dir, "missing"), "no such file"},
		"a directory":    {dir, "is no file"},
		"no file at all": {os.DevNull, "is no file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadKeyFile(tc.path)
			if (tc.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.path)) {
				t.Errorf("ReadKeyFile = %v, want %q", err, tc.want)
			}
		})
	}
}
