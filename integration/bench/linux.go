//go:build linux

package main

import (
	"os"
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD of getrusage(2), which package syscall lacks.
const rusageThread = 1

// threadTime is the CPU time of the calling thread.
func threadTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// syncData waits until what was written to the file is on the disk.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
