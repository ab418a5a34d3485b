package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// rawLoop is the crypto that a protocol run cannot do without, by the standard
// library alone: so many signatures and verifications with ES256, one after the
// other on one thread. Its CPU time is what servers are compared with.
func rawLoop(signatures, verifications int) side {
	return side{name: "raw crypto", measure: func(d time.Duration) (sample, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return sample{}, err
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before, err := threadTime()
		if err != nil {
			return sample{}, err
		}
		t, err := signAndVerify(key, signatures, verifications, d)
		if err != nil {
			return sample{}, err
		}
		after, err := threadTime()
		s := t.sample()
		s.CPU = float64((after - before).Nanoseconds()) / 1000 / float64(t.ops)
		return s, err
	}}
}

func signAndVerify(key *ecdsa.PrivateKey, signatures, verifications int, d time.Duration) (tally, error) {
	var t tally
	hash := sha256.Sum256([]byte("the signing input"))
	start := time.Now()
	for began := start; began.Sub(start) < d; began = time.Now() {
		var signature []byte
		var err error
		for range signatures {
			if signature, err = ecdsa.SignASN1(rand.Reader, key, hash[:]); err != nil {
				return t, err
			}
		}
		for range verifications {
			if !ecdsa.VerifyASN1(&key.PublicKey, hash[:], signature) {
				return t, errors.New("a signature does not verify")
			}
		}
		t.add(nil, time.Since(began))
	}
	t.took = time.Since(start)
	slices.Sort(t.latencies)
	return t, nil
}

// syncProbe is the median time of a write of 4 KiB and a sync of the disk in a
// folder: what a durable commit costs at least.
func syncProbe(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	var times []time.Duration
	page := make([]byte, 4<<10)
	for i := range int64(50) {
		start := time.Now()
		if _, err := f.WriteAt(page, i*int64(len(page))%(1<<20)); err != nil {
			return 0, err
		}
		if err := syncData(f); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return quantile(times, 0.5), nil
}
