//go:build !linux

package main

import (
	"errors"
	"os"
	"time"
)

// The benchmark reads /proc and so runs on Linux alone; elsewhere it says so.

func threadTime() (time.Duration, error) { return 0, errors.ErrUnsupported }

func syncData(f *os.File) error { return f.Sync() }
