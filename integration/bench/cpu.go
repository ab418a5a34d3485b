package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux.
const tick = 10 * time.Millisecond

// cpuTime is what a process has used of all CPUs.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat reads utime and stime, the fields 14 and 15 of proc_pid_stat(5). The
// name of the program, field 2, stands in parentheses and may hold anything.
func parseStat(text []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, errors.New("/proc/pid/stat has no name of a program")
	}
	fields := strings.Fields(string(text[end+1:])) // from field 3 on
	if len(fields) < 13 {
		return 0, errors.New("/proc/pid/stat is too short")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// memory is the resident memory of a process, in bytes.
type memory struct {
	// All counts mapped files, too, of which the system can take pages back; bolt
	// maps its file.
	All int64 `json:"rss"`
	// Anonymous is what the process has allocated.
	Anonymous int64 `json:"rss_anon"`
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseStatus(string(text))
}

// parseStatus reads proc_pid_status(5).
func parseStatus(text string) (memory, error) {
	var m memory
	for _, field := range []struct {
		name string
		to   *int64
	}{{"VmRSS", &m.All}, {"RssAnon", &m.Anonymous}} {
		_, rest, found := strings.Cut("\n"+text, "\n"+field.name+":")
		line, _, _ := strings.Cut(rest, "\n")
		kB, isKB := strings.CutSuffix(strings.TrimSpace(line), " kB")
		n, err := strconv.ParseInt(strings.TrimSpace(kB), 10, 64)
		if !found || !isKB || err != nil {
			return m, fmt.Errorf("/proc/pid/status has no %s", field.name)
		}
		*field.to = n << 10
	}
	return m, nil
}

// loadAverage is that of the last minute.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}

// connectionsTo are the local ports of the connections to a port of this machine
// that are there or were a moment ago (TIME_WAIT), from /proc/net/tcp.
func connectionsTo(port string) (map[string]bool, error) {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	return parseConnections(string(text), port)
}

func parseConnections(text, port string) (map[string]bool, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	found, suffix := map[string]bool{}, fmt.Sprintf(":%04X", n)
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 3 && strings.HasSuffix(fields[2], suffix) {
			found[fields[1]] = true
		}
	}
	return found, nil
}
