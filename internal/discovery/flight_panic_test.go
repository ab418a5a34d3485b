package discovery

import (
	"errors"
	"testing"
)

// A panic at a stranger's document ends neither the process nor the waiting.
func TestPanicOfALookUp(t *testing.T) {
	f := newFlights()
	_, err := f.wait(t.Context(), "a", never, func() (Found, error) { panic("a bug") })
	if !errors.Is(err, ErrTemporary) || err.Error() != "the provider cannot be reached at the moment: the look-up failed" {
		t.Errorf("%v", err)
	}
	if f.waiting != 0 || len(f.running) != 0 {
		t.Errorf("%d wait, %d run", f.waiting, len(f.running))
	}
	if found, err := f.wait(t.Context(), "a", never, func() (Found, error) { return Found{Issuer: "x"}, nil }); err != nil || found.Issuer != "x" {
		t.Errorf("afterwards: %v, %v", found, err)
	}
}
