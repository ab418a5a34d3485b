package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long the server may take to start or to stop.
const patience = 30 * time.Second

// Server is a private PostgreSQL on a socket in a folder of its own.
type Server struct {
	bin, dir string
	settings []string
	user     *syscall.Credential
	guard    io.WriteCloser
	running  *process
}

// process is one run of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// newServer makes a cluster and starts it.
func newServer(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	user, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, user: user, settings: settings}
	if err := errors.Join(s.makeDir(), s.startGuard()); err != nil {
		s.remove()
		return nil, err
	}
	if err := errors.Join(s.initdb(), s.start()); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// DSN leads to the server; whoever reaches the socket is trusted.
func (s *Server) DSN() string {
	return "postgres://uma@/postgres?sslmode=disable&host=" + url.QueryEscape(s.dir)
}

// Stop ends the server at once; what was committed is there after Start.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGQUIT)
}

// StopFast ends the server as an administrator does: what is under way is broken off,
// and connections are told.
func (s *Server) StopFast(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGINT)
}

// Kill is the end of a server that nobody asked (kill -9), and of its children: each
// answers its client until it finds out.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	children := s.children()
	s.end(t, syscall.SIGKILL)
	for end := time.Now().Add(patience); slices.ContainsFunc(children, lives); time.Sleep(5 * time.Millisecond) { // polling real processes
		if time.Now().After(end) {
			t.Fatalf("children of postgres still run after %v", patience)
		}
	}
}

// children are the processes of the server besides the first one, where the system
// tells.
func (s *Server) children() (pids []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		if _, parent := status(stat); s.running != nil && parent == strconv.Itoa(s.running.cmd.Process.Pid) {
			pids = append(pids, filepath.Dir(stat))
		}
	}
	return pids
}

func lives(dir string) bool {
	state, _ := status(filepath.Join(dir, "stat"))
	return state != "" && state != "Z"
}

// status reads /proc/PID/stat, where the name stands in parentheses.
func status(file string) (state, parent string) {
	text, _ := os.ReadFile(file)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

func (s *Server) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.stop(signal); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again. After Kill its children may take a moment to find
// out; as long as they run, a new one refuses the folder.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	err := s.start()
	for end := time.Now().Add(patience); err != nil && strings.Contains(err.Error(), "still in use") && time.Now().Before(end); err = s.start() {
		time.Sleep(50 * time.Millisecond) // polling real processes
	}
	if err != nil {
		t.Fatal(err)
	}
}

// makeDir makes the folder. Its name is short: the path of a socket has about a
// hundred characters.
func (s *Server) makeDir() error {
	parent := os.TempDir()
	if len(parent) > 40 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "umapg")
	if err != nil {
		return err
	}
	s.dir = dir
	if s.user == nil {
		return nil
	}
	return os.Chown(dir, int(s.user.Uid), int(s.user.Gid))
}

// guardScript waits until the other end of its input is closed, which is at the
// latest when this process ends, however it ends. Then it stops what runs in the
// folder and removes it.
const guardScript = `read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
[ -z "$pid" ] || kill -QUIT "$pid" 2>/dev/null
n=0
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
rm -rf "$1"`

func (s *Server) startGuard() error {
	guard := s.command("/bin/sh", "-c", guardScript, "guard", s.dir)
	in, err := guard.StdinPipe()
	if err != nil {
		return err
	}
	if err := guard.Start(); err != nil {
		return err
	}
	s.guard = &waited{in, guard}
	return nil
}

// waited is the input of a command; closing it waits for the command's end.
type waited struct {
	io.WriteCloser
	cmd *exec.Cmd
}

func (w *waited) Close() error { return errors.Join(w.WriteCloser.Close(), w.cmd.Wait()) }

// command runs as a user that may run PostgreSQL, out of reach of the signals
// that a terminal sends to the test.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.user}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	cmd.Env = append(cmd.Env, "LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin") // the guard needs its tools whatever PATH the test has
	return cmd
}

func (s *Server) initdb() error {
	out, err := s.command(filepath.Join(s.bin, "initdb"), "-N", "-U", "uma", "-A", "trust", "-E", "UTF8", "--locale=C", "-D", s.data()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// start starts the server and waits until it is ready. It writes to a file, not
// to a pipe: `go test` waits for those that hold its output.
func (s *Server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{"-D", s.data(), "-k", s.dir, "-h", "", "-F", "-c", "logging_collector=off"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := s.command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running = &process{cmd, make(chan struct{})}
	go func(p *process) {
		defer close(p.done)
		_ = p.cmd.Wait()
	}(s.running)
	return s.await()
}

// await waits for the word that the server writes when it takes connections. A server
// that was killed has left one behind.
func (s *Server) await() error {
	pid := strconv.Itoa(s.running.cmd.Process.Pid)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		b, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		if lines := strings.Split(string(b), "\n"); len(lines) > 7 && lines[0] == pid && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
		select {
		case <-s.running.done:
			return fmt.Errorf("postgres does not start:\n%s", s.log())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("postgres is not ready after %v:\n%s", patience, s.log())
}

func (s *Server) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b[max(0, len(b)-2000):])
}

// stop sends a signal and waits for the end. SIGQUIT: connections break off as when
// a machine fails.
func (s *Server) stop(signal syscall.Signal) error {
	if s.running == nil {
		return nil
	}
	if err := s.running.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.running.done:
		s.running = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("postgres still runs after %v", patience)
	}
}

// remove stops the server and removes its folder.
func (s *Server) remove() {
	_ = s.stop(syscall.SIGQUIT)
	if s.guard != nil {
		_ = s.guard.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // of root, as nobody may remove an entry of a foreign folder
	}
}
