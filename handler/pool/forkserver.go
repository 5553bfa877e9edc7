package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// ScriptError says that the script could not be loaded. Text is for the author of the script.
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string { return e.Text }

// forkServer is a running fork server.
type forkServer struct {
	// Immutable.
	h          *Host
	generation int // 0: the first of its host
	conn       *net.UnixConn
	cmd        *exec.Cmd
	started    time.Time
	ready      chan error    // receives once: the script has been loaded, or not
	gone       chan struct{} // closed when the process has ended and is reaped
	isDead     atomic.Bool   // it has closed its control socket
	ending     atomic.Bool   // hangs has ended it
	answered   atomic.Int64  // when it last answered a request for a process, in ns since it was started

	wmu sync.Mutex // for writing to conn

	mu      sync.Mutex
	workers map[int32]*Worker // by pid; those that have not exited
	testers map[int32]*tester // the same
	wanted  *tester           // is being forked; nil: none
	tester  chan shm.MsgForkedBody
	tail    []string // last lines of its standard error

	listens int // listen{} calls so far; belongs to the reading goroutine
}

// title is argv[0] of fork servers and workers: what a list of processes shows.
const title = "moonbridge: worker"

// tailLines are kept of a fork server's standard error, to explain an early end.
const tailLines = 10

// startForkServer starts the program. It returns before the script is loaded.
func startForkServer(h *Host, generation int) (*forkServer, error) {
	conn, ctl, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	log, stderr, err := logPipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer stderr.Close()
	out, stdout, err := logPipe()
	if err != nil {
		conn.Close()
		log.Close()
		return nil, err
	}
	defer stdout.Close()
	fs := &forkServer{
		h: h, generation: generation, conn: conn, started: time.Now(),
		ready: make(chan error, 1), gone: make(chan struct{}), workers: make(map[int32]*Worker), testers: make(map[int32]*tester),
	}
	fs.cmd = &exec.Cmd{
		Path:       h.program(),
		Args:       append([]string{title, h.cfg.Script}, h.cfg.Args...),
		Env:        slices.Concat(os.Environ(), h.cfg.Env, h.env()),
		Stdout:     stdout,
		Stderr:     stderr,
		ExtraFiles: []*os.File{ctl},
		// In a session of its own, so that only the server gets the signals of a terminal. It decides what to do then.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: h.cfg.Credential},
	}
	if err := fs.cmd.Start(); err != nil {
		conn.Close()
		log.Close()
		out.Close()
		return nil, fmt.Errorf("fork server: %w", err)
	}
	h.reading.Go(func() { h.lines.copy(log, fs.note, slog.Int("pid", fs.cmd.Process.Pid)) })
	h.reading.Go(func() { (&relay{to: h.stdout}).copy(out) })
	go fs.run()
	return fs, nil
}

// program is what is started. By default it is the running program, not one that has been installed under its name since:
// that one may have another idea of the shared memory.
func (h *Host) program() string {
	if h.cfg.Program != "" {
		return h.cfg.Program
	}
	const running = "/proc/self/exe" // on Linux
	now, errNow := os.Stat(h.self)
	was, err := os.Stat(running)
	if err == nil && (errNow != nil || !os.SameFile(now, was)) {
		return running
	}
	return h.self
}

// env is the variables that make a program a fork server.
func (h *Host) env() []string {
	env := shm.Env + "=3" // the first of ExtraFiles
	if h.cfg.Version != "" {
		env += " " + h.cfg.Version
	}
	letters := ""
	if h.cfg.Files != nil || h.cfg.ErrorPages {
		letters += "w"
	}
	if h.cfg.ErrorPages {
		letters += "p" + strconv.Itoa(h.cfg.Generation)
	}
	return []string{env, shm.EnvDevelopment + "=" + letters}
}

// note keeps the last lines of standard error.
func (fs *forkServer) note(line string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.tail) == tailLines {
		fs.tail = append(fs.tail[:0], fs.tail[1:]...)
	}
	fs.tail = append(fs.tail, line)
}

func (fs *forkServer) lastWords() string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.tail) == 0 {
		return ""
	}
	return ": " + strings.Join(fs.tail, "\n")
}

// await waits until the script is loaded.
func (fs *forkServer) await(ctx context.Context) error {
	select {
	case err := <-fs.ready:
		return err
	case <-ctx.Done():
		return fmt.Errorf("script %s: %w", fs.h.cfg.Script, context.Cause(ctx))
	}
}

// send sends a message. A fork server that neither reads nor forks for a long time is ended. One that has many forks to make reads the
// next request when it has made the one before, so its answers extend the time: see heard.
func (fs *forkServer) send(typ uint32, body []byte, fds ...int) error {
	fs.wmu.Lock()
	defer fs.wmu.Unlock()
	err := writeMsg(fs.conn, typ, body, fds...)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fs.hangs()
	}
	if err != nil {
		return fmt.Errorf("fork server: %w", err)
	}
	return nil
}

// dead reports whether the fork server has ended. Its workers may live on.
func (fs *forkServer) dead() bool { return fs.isDead.Load() }

// heard notes that it has answered a request for a process.
func (fs *forkServer) heard() {
	fs.answered.Store(int64(time.Since(fs.started)))
	fs.conn.SetWriteDeadline(time.Now().Add(controlTimeout)) // also of a message that is being sent
}

// stuckSince is since when it has made nothing of a request that was made at a time.
func (fs *forkServer) stuckSince(requested time.Time) time.Time {
	if answered := fs.started.Add(time.Duration(fs.answered.Load())); answered.After(requested) {
		return answered
	}
	return requested
}

// hangs ends a fork server that does not respond. A new one is started then.
func (fs *forkServer) hangs() {
	if fs.dead() || fs.ending.Swap(true) {
		return
	}
	fs.h.log.Error("fork server hangs: ending it", "pid", fs.cmd.Process.Pid)
	fs.cmd.Process.Kill()
}

// end tells the fork server to exit. If it does not do so within the timeout, its process group is killed.
func (fs *forkServer) end(timeout time.Duration) {
	fs.conn.CloseWrite()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-fs.gone:
		return
	case <-t.C:
	}
	fs.killGroup()
	<-fs.gone
}

// killGroup kills the fork server, and all processes that the script has started and left in its group. Workers have groups
// of their own.
func (fs *forkServer) killGroup() {
	if !fs.dead() {
		unix.Kill(-fs.cmd.Process.Pid, unix.SIGKILL)
	}
	fs.cmd.Process.Kill()
}
