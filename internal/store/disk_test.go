package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// SEC-13: a disk that does not write is an error of its own, never "exists" or
// success, and what was there stays.
func TestSEC_13_DiskFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	clock := func() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }
	old := Doc{Key: Key{"t", "k", "old"}, Expires: clock().Add(time.Hour)}
	s, err := OpenBolt(path, BoltOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), Create(old)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A descriptor that cannot write: as good as a disk that will not.
	s, err = OpenBolt(path, BoltOptions{
		Now:      func() time.Time { return clock().Add(2 * time.Hour) },
		openFile: func(name string, _ int, _ os.FileMode) (*os.File, error) { return os.Open(name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, sweep := s.Sweep(t.Context(), 9)
	for name, err := range map[string]error{
		"Commit": s.Commit(t.Context(), Create(Doc{Key: Key{"t", "k", "new"}})),
		"Sweep":  sweep,
	} {
		var op *OpError
		if err == nil || errors.As(err, &op) || errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) {
			t.Errorf("%s = %v, want a plain error", name, err)
		}
	}
	if _, err := s.Get(t.Context(), Key{"t", "k", "new"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of what was not written = %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), Key{"t", "k", "old"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of what has expired = %v, want ErrNotFound", err)
	}
}

// FuzzDecode: bytes of a damaged file are an error or a record that encodes to
// the same bytes, never a panic.
func FuzzDecode(f *testing.F) {
	f.Add(record{rev: 1, expires: 5, index: "x", body: []byte("{}")}.encode())
	f.Add(record{rev: 1}.encode())
	f.Add([]byte{recordV1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(r.encode())
		if err != nil || again.rev != r.rev || again.expires != r.expires || again.index != r.index || string(again.body) != string(r.body) {
			t.Errorf("decode(encode(%v)) = %v, %v", r, again, err)
		}
	})
}

// A damaged record is a failure, not an absent document.
func TestDecode_Damaged(t *testing.T) {
	good := record{rev: 1, index: "idx", body: []byte("{}")}.encode()
	if _, err := decode(good); err != nil {
		t.Fatalf("decode = %v", err)
	}
	for i := range recordHead + 4 {
		if _, err := decode(good[:i]); !errors.Is(err, errRecord) {
			t.Errorf("decode of %d bytes = %v, want errRecord", i, err)
		}
	}
	newer := append([]byte{recordV1 + 1}, good[1:]...)
	if _, err := decode(newer); !errors.Is(err, errRecord) {
		t.Errorf("decode of another version = %v, want errRecord", err)
	}
}
