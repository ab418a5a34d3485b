package jose_test

import (
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// SEC-13: whoever asks for the health of a ring that has its key waits for no storage: one
// that hangs would take out a node which can go on.
func TestSEC_13_ReadyWaitsForNoStorage(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	r := newRing(t, ringConfig(storage, clock.Now))
	if err := r.Ready(t.Context()); err != nil || storage.Calls("Store") != 1 {
		t.Fatalf("Ready = %v, %d keys made, want one", err, storage.Calls("Store"))
	}
	clock.pass(2 * time.Minute)
	before := storage.Calls("List")
	if err := r.Ready(t.Context()); err != nil || storage.Calls("List") != before {
		t.Errorf("Ready = %v after %d looks into storage, want none", err, storage.Calls("List")-before)
	}
}
