//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package cli

import (
	"context"
	"fmt"
	"os"
)

// lock does not wait: without locks of the kernel nobody knows whether the other
// process lives.
func lock(_ context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in our directory
	if err != nil {
		return nil, fmt.Errorf("%w. Try: again; if no other runs, remove that file", err)
	}
	return func() { _ = f.Close(); _ = os.Remove(path) }, nil
}
