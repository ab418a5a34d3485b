package documents_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// link finds [text](target) outside of code.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: every relative link of a document leads to a file that is there, and
// to a heading that is in it.
func TestLinks(t *testing.T) {
	documents := markdown(t)
	if len(documents) < 10 {
		t.Fatalf("only %d documents found", len(documents))
	}
	seen := 0
	for _, name := range documents {
		for _, m := range link.FindAllStringSubmatch(prose(read(t, name)), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			seen++
			if problem := follow(t, name, target); problem != "" {
				t.Errorf("%s: %s: %s", name, target, problem)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d links seen", seen)
	}
}

func markdown(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			name, err := filepath.Rel(root, path)
			names = append(names, name)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// follow says what is wrong with a link of a document.
func follow(t *testing.T, from, target string) string {
	t.Helper()
	path, anchor, _ := strings.Cut(target, "#")
	file := from
	if path != "" {
		file = filepath.Join(filepath.Dir(from), path)
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return "there is no such file"
		}
	}
	if anchor != "" && !anchors(read(t, file))[anchor] {
		return "there is no such heading"
	}
	return ""
}

// fence finds blocks of code, and code finds it inside of a line.
var (
	fence  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline = regexp.MustCompile("`[^`\n]*`")
)

// prose is a document without code, in which links are none.
func prose(text string) string {
	return inline.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
}

// notInAnchor are the characters that GitHub leaves out of the name of a heading.
var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

// anchors are the names by which headings can be reached.
func anchors(text string) map[string]bool {
	names, times := map[string]bool{}, map[string]int{}
	for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
		level := len(line) - len(strings.TrimLeft(line, "#"))
		if level == 0 || level > 6 || line[level] != ' ' {
			continue
		}
		name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(line[level:])), "")
		name = strings.ReplaceAll(name, " ", "-")
		n := times[name]
		times[name]++
		if n > 0 {
			name += "-" + strconv.Itoa(n)
		}
		names[name] = true
	}
	return names
}

// TestREADMENamesAll: no document is there that nobody finds.
func TestREADMENamesAll(t *testing.T) {
	text := read(t, "README.md")
	for _, name := range markdown(t) {
		if name != "README.md" && !strings.Contains(text, "]("+name+")") && !strings.HasPrefix(name, "integration") {
			t.Errorf("README.md does not lead to %s", name)
		}
	}
}

// TestLinksCatch plants a good and a bad link of each kind.
func TestLinksCatch(t *testing.T) {
	for target, want := range map[string]string{
		"../README.md": "", "../REEDME.md": "there is no such file", "keys.md": "", "key.md": "there is no such file",
		"reference.md#uma_protect": "", "reference.md#uma_detect": "there is no such heading", "#what-goes-out": "there is no such heading",
	} {
		if got := follow(t, "docs/x/../keys.md", target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	if got := prose("a `[b](c)` d\n```\n[e](f)\n```\n[g](h)"); strings.Contains(got, "(c)") || strings.Contains(got, "(f)") || !strings.Contains(got, "(h)") {
		t.Errorf("prose: %q", got)
	}
	if got := anchors("# A `b` c\n## D\n## D\n```\n# e\n```\n"); !got["a-b-c"] || !got["d"] || !got["d-1"] || got["e"] {
		t.Errorf("anchors: %v", got)
	}
}
