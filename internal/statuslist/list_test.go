package statuslist_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

// The example of the draft, §4.1: 16 tokens of one bit each, 0xB9 0xA3.
func TestListOfTheDraft(t *testing.T) {
	list, err := statuslist.New(16)
	if err != nil {
		t.Fatal(err)
	}
	revoked := []int64{0, 3, 4, 5, 7, 8, 9, 13, 15}
	for _, i := range revoked {
		if err := list.Revoke(i); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := list.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := statuslist.Encoded{Bits: 1, List: "eNrbuRgAAhcBXQ"}.Decode() // written by another program
	if err != nil {
		t.Fatal(err)
	}
	again, err := encoded.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(16) {
		want := bytes.IndexByte([]byte{0, 3, 4, 5, 7, 8, 9, 13, 15}, byte(i)) >= 0
		for name, l := range map[string]*statuslist.List{"draft": decoded, "ours": again} {
			if got, known := l.Revoked(i); got != want || !known {
				t.Errorf("%s: index %d revoked = %v (known %v), want %v", name, i, got, known, want)
			}
		}
	}
}

func TestListBounds(t *testing.T) {
	if _, err := statuslist.New(statuslist.MaxSize + 1); err == nil {
		t.Error("a list that is too large was made")
	}
	if _, err := statuslist.New(-1); err == nil {
		t.Error("a list of negative size was made")
	}
	list, err := statuslist.New(9)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{-1, 16, 1 << 40} {
		if err := list.Revoke(i); err == nil {
			t.Errorf("index %d was revoked", i)
		}
		if revoked, known := list.Revoked(i); revoked || known {
			t.Errorf("index %d is known", i)
		}
	}
	if _, known := list.Revoked(8); !known {
		t.Error("index 8 is not known")
	}
}

func pack(b []byte) string {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(buf.Bytes())
}

func TestDecodeRefuses(t *testing.T) {
	good := pack([]byte{1})
	cases := map[string]statuslist.Encoded{
		"two bits":       {Bits: 2, List: good},
		"no bits":        {List: good},
		"no list":        {Bits: 1},
		"padding":        {Bits: 1, List: good + "="},
		"not zlib":       {Bits: 1, List: "AAAA"},
		"cut off":        {Bits: 1, List: good[:len(good)-4]},
		"a bomb":         {Bits: 1, List: pack(make([]byte, statuslist.MaxSize/8+1))},
		"other alphabet": {Bits: 1, List: strings.Repeat("+", 8)},
		"a wrong checksum": {Bits: 1, List: func() string {
			raw, _ := base64.RawURLEncoding.DecodeString(good)
			raw[len(raw)-1] ^= 1
			return base64.RawURLEncoding.EncodeToString(raw)
		}()},
	}
	if _, err := (statuslist.Encoded{Bits: 1, List: good}).Decode(); err != nil {
		t.Fatal(err)
	}
	for name, e := range cases {
		if _, err := e.Decode(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pack([]byte{1, 2, 3}))
	f.Add("eNrbuRgAAhcBXQ")
	f.Fuzz(func(t *testing.T, lst string) {
		list, err := statuslist.Encoded{Bits: 1, List: lst}.Decode()
		if err != nil {
			return
		}
		again, err := list.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := again.Decode(); err != nil || back.Size() != list.Size() {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
