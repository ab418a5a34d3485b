package documents_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// embedded finds what the compiler puts into the binary.
var embedded = regexp.MustCompile(`(?m)^//go:embed (.+)$`)

// TestImage: what can be said of the Dockerfile without Docker. The image is built
// with the flags of .ci/run from files that are there, and does not run as root.
func TestImage(t *testing.T) {
	docker := read(t, "Dockerfile")
	flags := regexp.MustCompile(`GOFLAGS="[^"]+"`)
	if want := flags.FindString(read(t, ".ci/run")); want == "" || flags.FindString(docker) != want {
		t.Errorf("Dockerfile: %s, .ci/run: %s", flags.FindString(docker), want)
	}
	_, last, found := strings.Cut(docker, "\nFROM busybox")
	if !found || !regexp.MustCompile(`(?m)^USER [1-9]`).MatchString(last) {
		t.Error("the image runs as root")
	}
	health := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	if want := health.FindString(last); want == "" || !strings.Contains(read(t, "examples/docker/Caddyfile"), "\n"+want+" {\n") {
		t.Error("the health check asks another place than the image's Caddyfile serves")
	}
	copied := 0
	for line := range strings.Lines(docker) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
			continue
		}
		for _, name := range words[1 : len(words)-1] {
			copied++
			if _, err := os.Stat(filepath.Join(root, name)); err != nil || name != "." && ignored(t, name) {
				t.Errorf("COPY %s: it is not there for the build: %v", name, err)
			}
		}
	}
	if copied < 4 {
		t.Errorf("only %d files are copied", copied)
	}
}

// TestImageSources: .dockerignore leaves out nothing that the binary is made of.
func TestImageSources(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err = filepath.Rel(root, name)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "integration/bench") {
			return nil
		}
		seen++
		if ignored(t, name) {
			t.Errorf("%s is not there for the build", name)
		}
		for _, m := range embedded.FindAllStringSubmatch(read(t, name), -1) {
			for pattern := range strings.FieldsSeq(m[1]) {
				files, err := filepath.Glob(filepath.Join(root, filepath.Dir(name), pattern))
				if err != nil || len(files) == 0 {
					t.Errorf("%s embeds %s: %v", name, pattern, err)
				}
				for _, file := range files {
					if file, err := filepath.Rel(root, file); err != nil || ignored(t, file) {
						t.Errorf("%s embeds %s, which is not there for the build", name, file)
					}
				}
			}
		}
		return nil
	})
	if err != nil || seen < 200 {
		t.Errorf("%d files: %v", seen, err)
	}
	for name, want := range map[string]bool{".git/x": true, "a/b/c_test.go": true, "a/testdata/x.go": true, "README.md": true, "a/x.go": false, "a/.x": false} {
		if ignored(t, name) != want {
			t.Errorf("%s: ignored is not %v", name, want)
		}
	}
}

// ignored knows the patterns that .dockerignore has: those of a whole path from the
// top, and **/ for any depth. A folder takes what is in it along.
func ignored(t *testing.T, name string) bool {
	t.Helper()
	for line := range strings.Lines(read(t, ".dockerignore")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '!' {
			t.Fatal(".dockerignore has an exception, which this test cannot read")
		}
		anywhere, deep := strings.CutPrefix(line, "**/")
		parts := strings.Split(name, "/")
		for i := range parts {
			for from := 0; from <= i && (deep || from == 0); from++ {
				if ok, err := path.Match(anywhere, strings.Join(parts[from:i+1], "/")); ok || err != nil {
					return true
				}
			}
		}
	}
	return false
}
