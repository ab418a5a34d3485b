package umaapp

import "testing"

func TestKeep(t *testing.T) {
	first, second := new(App), new(App)
	one, err := Keep(first, "k", func() *int { return new(int) })
	if err != nil {
		t.Fatal(err)
	}
	same, err := Keep(second, "k", func() *int { return new(int) })
	if err != nil || same != one {
		t.Errorf("a reload made another memory: %v", err)
	}
	other, err := Keep(second, "l", func() *int { return new(int) })
	if err != nil || other == one {
		t.Errorf("another key has the same memory: %v", err)
	}
	if _, err := Keep(second, "k", func() string { return "" }); err == nil {
		t.Error("another kind of memory under the same key")
	}
	if err := first.forget(); err != nil {
		t.Error(err)
	}
	if still, err := Keep(second, "k", func() *int { return new(int) }); err != nil || still != one {
		t.Errorf("forgotten while in use: %v", err)
	}
	if err := second.forget(); err != nil {
		t.Error(err)
	}
	if next, err := Keep(first, "k", func() *int { return new(int) }); err != nil || next == one {
		t.Errorf("kept although nobody uses it: %v", err)
	}
	if err := first.forget(); err != nil {
		t.Error(err)
	}
}
