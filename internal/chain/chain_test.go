package chain_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/chain"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// written makes n lines of a chain.
func written(t testing.TB, c *chain.Chain, key []byte, n int) []string {
	t.Helper()
	var lines []string
	for i := range n {
		lines = append(lines, linked(t, c, fmt.Sprintf(`{"msg":"decision","n":%d}`, i), key))
	}
	return lines
}

func linked(t testing.TB, c *chain.Chain, line string, key []byte) string {
	t.Helper()
	tail, err := c.Link([]byte(line), key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "}") + string(tail) + "\n"
}

func verify(keys [][]byte, anchors []chain.Head, files ...string) chain.Report {
	v := chain.NewVerifier(keys, anchors)
	for i, text := range files {
		v.Read(fmt.Sprintf("f%d", i), strings.NewReader(text))
	}
	return v.Report()
}

func problems(r chain.Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func last(t testing.TB, lines []string) chain.Head {
	t.Helper()
	h, ok := chain.Last([]byte(strings.Join(lines, "")))
	if !ok {
		t.Fatal("no line has a link")
	}
	return h
}

// Whatever is done to a line is noticed, and what is left as it was is not.
func TestSEC_22_ChainNotices(t *testing.T) {
	for _, keys := range [][][]byte{nil, {key}} {
		var with []byte
		if keys != nil {
			with = keys[0]
		}
		for _, tc := range []struct {
			name, want string
			change     func(lines []string) []string
		}{
			{"nothing", "", func(l []string) []string { return l }},
			{"a changed word", "f0:4: the line was changed\n", func(l []string) []string {
				l[3] = strings.Replace(l[3], "decision", "decisiom", 1)
				return l
			}},
			{"another hash of the line before", "f0:4: the line was changed\nf0:4: the line does not follow line 3 of chain ID\n", func(l []string) []string {
				l[3] = strings.Replace(l[3], `"prev":"`+hashOf(l[2]), `"prev":"`+hashOf(l[1]), 1)
				return l
			}},
			{"one line left out", "f0:4: line 4 of chain ID is missing before this one\n", func(l []string) []string {
				return append(l[:3:3], l[4:]...)
			}},
			{"two lines left out", "f0:4: lines 4 to 5 of chain ID are missing before this one\n", func(l []string) []string {
				return append(l[:3:3], l[5:]...)
			}},
			{"a line twice", "f0:5: line 4 of chain ID stands here again\n", func(l []string) []string {
				return append(l[:4:4], l[3:]...)
			}},
			{"a line put in", "f0:4: the line has no link: it was not written by the encoder, or was changed\n", func(l []string) []string {
				return append(append(l[:3:3], `{"msg":"decision"}`+"\n"), l[3:]...)
			}},
			{"a link taken off", "f0:4: the line has no link: it was not written by the encoder, or was changed\nf0:5: line 4 of chain ID is missing before this one\n", func(l []string) []string {
				l[3] = l[3][:strings.Index(l[3], `,"chain"`)] + "}\n"
				return l
			}},
			{"two lines in the other order", "", func(l []string) []string { // as parallel requests write them
				l[3], l[4] = l[4], l[3]
				return l
			}},
		} {
			t.Run(fmt.Sprintf("SEC-22 %s, key %v", tc.name, with != nil), func(t *testing.T) {
				lines := written(t, chain.New(nil), with, 9)
				want := strings.ReplaceAll(tc.want, "ID", last(t, lines).Chain)
				r := verify(keys, nil, strings.Join(tc.change(lines), ""))
				if diff := cmp.Diff(want, problems(r)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func hashOf(line string) string {
	h, _ := chain.Last([]byte(line))
	return h.Hash
}

// Who can write the file and does not have the key can write everything anew; with
// a key he cannot, and a chain with a key is not replaced by one without.
func TestSEC_22_ChainKeys(t *testing.T) {
	mine, other := written(t, chain.New(nil), key, 3), written(t, chain.New(nil), []byte("another key of 32 characters....."), 3)
	plain := written(t, chain.New(nil), nil, 3)
	for _, tc := range []struct {
		name string
		keys [][]byte
		text []string
		want string
	}{
		{"with the key", [][]byte{key}, mine, ""},
		{"with two keys", [][]byte{[]byte("old"), key}, mine, ""},
		{"with another key", [][]byte{key}, other, "or was made with another key"},
		{"without the key", nil, mine, "--key-file"},
		{"rewritten without a key", [][]byte{key}, plain, "without the key"},
		{"without a key", nil, plain, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := verify(tc.keys, nil, strings.Join(tc.text, ""))
			if got := problems(r); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// What was cut off at the end is noticed by the chain that begins behind it, and
// by an anchor; without either it cannot be.
func TestSEC_22_ChainEnds(t *testing.T) {
	first := written(t, chain.New(nil), nil, 5)
	second := written(t, chain.New(func() chain.Head { return last(t, first) }), nil, 2)
	anchor := []chain.Head{last(t, first)}
	join := func(l ...[]string) string {
		var b strings.Builder
		for _, part := range l {
			b.WriteString(strings.Join(part, ""))
		}
		return b.String()
	}
	for _, tc := range []struct {
		name    string
		anchors []chain.Head
		text    string
		want    string
	}{
		{"whole", anchor, join(first, second), ""},
		{"the end of the first is missing", nil, join(first[:4], second), "the end of the chain before is missing"},
		{"the end of the last is missing", nil, join(first[:4]), ""},
		{"and an anchor wants it", anchor, join(first[:4]), "the anchor " + anchor[0].String()},
		{"rewritten after the anchor was taken", anchor, join(written(t, chain.New(nil), nil, 5)), "the anchor"},
		{"the first file was thrown away", nil, join(first[2:], second), ""},
		{"only the second chain is here", nil, join(second), ""},
		{"an unfinished line", anchor, join(first, second) + `{"msg":"dec`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := verify(nil, tc.anchors, tc.text)
			if got := problems(r); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q (notes %q)", got, tc.want, r.Notes)
			}
		})
	}
}

// The place where one chain ends and the next one begins is no gap for whoever takes
// lines away on both sides of it.
func TestSEC_22_ChainJoint(t *testing.T) {
	for _, keys := range [][][]byte{nil, {key}} {
		var with []byte
		if keys != nil {
			with = keys[0]
		}
		a := written(t, chain.New(nil), with, 5)
		b := written(t, chain.New(func() chain.Head { return last(t, a) }), with, 5)
		for _, tc := range []struct {
			what string
			file []string
			bad  bool
		}{
			{"all", []string{strings.Join(a, ""), strings.Join(b, "")}, false},
			{"as retention leaves it", []string{strings.Join(a[2:], ""), strings.Join(b, "")}, false},
			{"as retention leaves it, later", []string{strings.Join(b[2:], "")}, false},
			{"both sides cut", []string{strings.Join(a[:3], ""), strings.Join(b[2:], "")}, true},
			{"both sides cut in one file", []string{strings.Join(a[:3], "") + strings.Join(b[2:], "")}, true},
			{"the beginning cut", []string{strings.Join(a, ""), strings.Join(b[2:], "")}, true},
			{"both sides cut, and a line moved", []string{strings.Join(a[:2], "") + b[2] + a[2] + strings.Join(b[3:], "")}, true},
		} {
			if r := verify(keys, nil, tc.file...); (r.Count > 0) != tc.bad {
				t.Errorf("%s, key %v: %d problems\n%s%v", tc.what, with != nil, r.Count, problems(r), r.Notes)
			}
		}
	}
}

// Nor is it one for whoever also puts the later chain in front, so that its beginning
// seems to have been thrown away with old files.
func TestSEC_22_ChainOrder(t *testing.T) {
	at := func(c *chain.Chain, from int) (lines []string) {
		for i := range 5 {
			lines = append(lines, linked(t, c, fmt.Sprintf(`{"level":"info","ts":%d.25,"logger":"uma.audit"}`, from+i), key))
		}
		return lines
	}
	a := at(chain.New(nil), 1_800_000_000)
	b := at(chain.New(func() chain.Head { return last(t, a) }), 1_800_000_100)
	alone := at(chain.New(nil), 1_800_000_200) // its file had been rolled a moment before
	for _, tc := range []struct {
		what string
		file [][]string
		bad  bool
	}{
		{"all", [][]string{a, b, alone}, false},
		{"as retention leaves it", [][]string{b[2:], alone}, false},
		{"the later one first", [][]string{b[2:], a[:3]}, true},
		{"one line first", [][]string{b[3:4], a[:3], b[2:3], b[4:]}, true},
		{"its first line first", [][]string{b[2:3], a[:3], b[3:]}, true},
	} {
		var text strings.Builder
		for _, part := range tc.file {
			text.WriteString(strings.Join(part, ""))
		}
		if r := verify([][]byte{key}, nil, text.String()); (r.Count > 0) != tc.bad {
			t.Errorf("%s: %d problems\n%s%q", tc.what, r.Count, problems(r), r.Notes)
		}
	}
}

// Files that were rolled, packed or not, are one log.
func TestVerifyRolledFiles(t *testing.T) {
	lines := written(t, chain.New(nil), nil, 3000)
	packed := func(l []string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(strings.Join(l, "")))
		_ = w.Close()
		return b.String()
	}
	good := verify(nil, nil, packed(lines[:1000]), strings.Join(lines[1000:2000], ""), strings.Join(lines[2000:], ""))
	if problems(good) != "" || good.Lines != 3000 || len(good.Chains) != 1 || good.Chains[0].Last != last(t, lines) {
		t.Errorf("%s %+v", problems(good), good)
	}
	gap := verify(nil, nil, packed(lines[:1000]), strings.Join(lines[2000:], ""))
	if want := "f1:1: lines 1001 to 2000 of chain"; gap.Count != 1 || !strings.HasPrefix(problems(gap), want) {
		t.Errorf("%q, want %q", problems(gap), want)
	}
	if cut := verify(nil, nil, packed(lines)[:5000]); !strings.Contains(problems(cut), "cannot be read any further") {
		t.Errorf("a broken file: %q", problems(cut))
	}
	if late := verify(nil, nil, strings.Join(lines[1000:], "")); problems(late) != "" || len(late.Notes) != 1 || late.Chains[0].First != 1001 {
		t.Errorf("%q %q", problems(late), late.Notes)
	}
}

// Lines that many write at once stand in nearly their order.
func TestLinkConcurrently(t *testing.T) {
	c := chain.New(nil)
	var mu sync.Mutex
	var lines []string
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				line := linked(t, c, `{"a":1}`, key)
				mu.Lock()
				lines = append(lines, line)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if r := verify([][]byte{key}, nil, strings.Join(lines, "")); problems(r) != "" || r.Chains[0].Lines != 4000 {
		t.Errorf("%s %+v", problems(r), r.Chains)
	}
}

func TestLinkWantsObjects(t *testing.T) {
	c := chain.New(nil)
	for line, good := range map[string]bool{`{}`: true, `{"a":{"b":1}}`: true, ``: false, `}`: false, `{"a":1}x`: false, `info x`: false} {
		if _, err := c.Link([]byte(line), nil); (err == nil) != good {
			t.Errorf("%q: %v", line, err)
		}
	}
	if r := verify(nil, nil, linked(t, chain.New(nil), `{}`, nil)); problems(r) != "" {
		t.Error(problems(r))
	}
}

// A file of many chains, of lines that never get their turn, or of a line without an
// end takes no memory, and problems are counted, not kept.
func TestVerifyIsBounded(t *testing.T) {
	var b strings.Builder
	for range 3000 {
		b.WriteString(written(t, chain.New(nil), nil, 1)[0])
	}
	if r := verify(nil, nil, b.String()); r.Count != 3000-1024 || len(r.Chains) != 1024 || len(r.Problems) != 20 {
		t.Errorf("%d problems, %d chains", r.Count, len(r.Chains))
	}
	c := chain.New(nil)
	b.Reset()
	for i, line := range written(t, c, nil, 20000) {
		if i%2 == 0 {
			b.WriteString(line)
		}
	}
	if r := verify(nil, nil, b.String()); r.Count != 9999 || len(r.Problems) != 20 {
		t.Errorf("%d problems", r.Count)
	}
	long := strings.Repeat("x", chain.MaxLine+1)
	if r := verify(nil, nil, long+"\n"+written(t, chain.New(nil), nil, 1)[0]+long); r.Count != 2 || r.Lines != 1 {
		t.Errorf("%q", problems(r))
	}
}

func FuzzVerify(f *testing.F) {
	lines := written(f, chain.New(nil), nil, 4)
	f.Add(strings.Join(lines, ""))
	f.Add(lines[2] + lines[0] + `{"a":1,"chain":{"id":"`)
	f.Add("\x1f\x8b")
	f.Add(`{"chain":{"id":"AAAAAAAAAAAAAAAA","seq":9223372036854775807,"prev":"","hash":""}}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, keys := range [][][]byte{nil, {key}} {
			r := verify(keys, nil, text)
			if keys != nil && r.Count == 0 && len(r.Chains) > 0 {
				t.Errorf("lines without the key passed: %q", text)
			}
		}
		chain.Last([]byte(text))
	})
}

// Of all ways to change one byte, each is noticed.
func TestSEC_22_ChainEveryByte(t *testing.T) {
	lines := written(t, chain.New(nil), key, 3)
	text := strings.Join(lines, "")
	for i := range len(text) - 1 {
		changed := []byte(text)
		changed[i] ^= 1 << rand.IntN(7) //nolint:gosec // any change
		if r := verify([][]byte{key}, []chain.Head{last(t, lines)}, string(changed)); r.Count == 0 {
			t.Errorf("byte %d: %q passes", i, changed[i])
		}
	}
}
