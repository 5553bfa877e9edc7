package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// USR2 replaces the running binary with a new one. The new binary is started with the listening sockets, the pid file
// and the log file of this process. When it serves, this process stops accepting, completes its running requests, and
// exits. If the new process does not get that far, this process keeps serving as if nothing had happened. No connection
// is refused, because the sockets are never closed.

// heirEnv tells a process to take over: "ready=FD timers=FD pid=FD log=FD access=FD root=FD dir=FD". Those of the files and of
// the root helper are present if there are such. dir is the working directory of the old process.
const heirEnv = "MOONBRIDGE_HEIR"

// upgradeTimeout is how long a new process may take to start serving.
const upgradeTimeout = 2 * workersTimeout

// quitGrace is how long a new process has to exit after the upgrade is aborted.
const quitGrace = 5 * time.Second

// upgrade is a new process that is about to take over.
type upgrade struct {
	cmd    *exec.Cmd
	timers *os.File   // for reports about our timers
	done   chan error // receives once: nil when it serves, or an error
}

// over returns the channel that receives the result of the upgrade. It is nil, which blocks forever, if there is none.
func (u *upgrade) over() <-chan error {
	if u == nil {
		return nil
	}
	return u.done
}

// end aborts an upgrade in progress, before the server ends.
func (u *upgrade) end() {
	if u != nil {
		u.stop()
		<-u.done
	}
}

// stop ends the new process. It gets quitGrace to end its own child processes.
func (u *upgrade) stop() {
	u.cmd.Process.Signal(syscall.SIGQUIT)
	time.AfterFunc(quitGrace, func() { u.cmd.Process.Kill() })
}

// upgrade starts an upgrade. It returns at once.
func (s *server) upgrade() {
	if s.upgrading != nil {
		s.log.Warn("upgrade: another one is in progress", "pid", s.upgrading.cmd.Process.Pid)
		return
	}
	s.endReload() // the new process loads the script anyway
	u, ready, err := s.startHeir()
	if err != nil {
		s.log.Error("upgrade failed", "err", err)
		return
	}
	s.log.Info("upgrading", "pid", u.cmd.Process.Pid)
	s.upgrading = u
	go func() { u.done <- u.await(ready) }()
}

// await waits until the new process serves or has failed.
func (u *upgrade) await(ready *os.File) error {
	defer ready.Close()
	ready.SetReadDeadline(time.Now().Add(upgradeTimeout))
	var b [1]byte
	_, err := io.ReadFull(ready, b[:])
	if err == nil {
		go u.cmd.Wait() // reaps it if it exits while we drain
		return nil
	}
	u.stop()
	u.cmd.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the new process was not ready within %v", upgradeTimeout)
	}
	return fmt.Errorf("the new process has ended: %v", u.cmd.ProcessState)
}

// upgraded is called when an upgrade is over. It reports whether this process must exit.
func (s *server) upgraded(err error) bool {
	u := s.upgrading
	s.upgrading = nil
	if err != nil {
		u.timers.Close()
		s.log.Error("upgrade failed: this process keeps running", "err", err)
		return false
	}
	handOverTimers(s.intervals, u.timers)
	s.handedOver = true
	s.notify(s.manager.send(fmt.Sprintf("MAINPID=%d", u.cmd.Process.Pid)))
	s.mu.Lock()
	for _, a := range s.addresses {
		a.ln.HandOver()
	}
	s.addresses = nil
	s.mu.Unlock()
	s.pid = nil // the file now belongs to the new process
	s.log.Info("handed over", "pid", u.cmd.Process.Pid)
	return true
}

// startHeir starts the new process, which writes to ready when it serves.
func (s *server) startHeir() (u *upgrade, ready *os.File, err error) {
	ready, theirReady, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	theirTimers, timers, err := os.Pipe()
	if err != nil {
		ready.Close()
		theirReady.Close()
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			ready.Close()
			timers.Close()
		}
	}()
	pass := passing{close: []*os.File{theirReady, theirTimers}}
	defer pass.done()
	heir := "ready=" + pass.add(theirReady) + " timers=" + pass.add(theirTimers)
	if s.pid != nil {
		heir += " pid=" + pass.add(s.pid.f)
	}
	if s.out != nil {
		heir += " log=" + pass.add(s.out.file())
	}
	if s.access != nil && s.access.file.name != "" {
		heir += " access=" + pass.add(s.access.file.file())
	}
	if s.root != nil {
		heir += " root=" + pass.add(s.root.conn)
	}
	if dir, err := os.Open("."); err == nil {
		pass.close = append(pass.close, dir)
		heir += " dir=" + pass.add(dir)
	}
	sockets, err := s.passListeners(&pass)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(s.program, os.Args[1:]...)
	if s.dir.enterable() {
		cmd.Dir = s.dir.path
	}
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), heirEnv+"="+heir, upgradeEnv+"="+sockets)
	if s.manager.address != nil {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.manager.address.Name)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = pass.files
	if err = cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &upgrade{cmd: cmd, timers: timers, done: make(chan error, 1)}, ready, nil
}

// passListeners lists all listening sockets in the format of upgradeEnv.
func (s *server) passListeners(pass *passing) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list strings.Builder
	for _, a := range s.addresses {
		files, err := a.ln.Files()
		if err != nil {
			return "", err
		}
		pass.close = append(pass.close, files...)
		list.WriteString(pass.line(a.key, files, a.foreign))
	}
	for k, fds := range s.inherited.foreign {
		var files []*os.File
		for _, fd := range fds {
			other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			if err != nil {
				return "", os.NewSyscallError("dup", err)
			}
			files = append(files, os.NewFile(uintptr(other), k))
		}
		pass.close = append(pass.close, files...)
		list.WriteString(pass.line(k, files, true))
	}
	return list.String(), nil
}

// line passes the sockets of an address.
func (p *passing) line(k string, files []*os.File, foreign bool) string {
	var numbers []string
	for _, f := range files {
		numbers = append(numbers, p.add(f))
	}
	line := k + "=" + strings.Join(numbers, ",")
	if foreign {
		line += foreignMark
	}
	return line + "\n"
}

// passing collects the files for a new process.
type passing struct {
	files []*os.File // descriptors 3 and up
	close []*os.File // to be closed in this process
}

// add returns the number that a file will have.
func (p *passing) add(f *os.File) string {
	p.files = append(p.files, f)
	return strconv.Itoa(2 + len(p.files))
}

func (p *passing) done() {
	for _, f := range p.close {
		f.Close()
	}
}

// heir holds the files passed to a process that takes over. It is nil in any other process.
type heir struct {
	ready, timers, pid, log, access, dir *os.File
	root                                 *rootFiles
}

// newHeir reads heirEnv and removes it from the environment.
func newHeir() (*heir, error) {
	text := os.Getenv(heirEnv)
	os.Unsetenv(heirEnv)
	if text == "" {
		return nil, nil
	}
	h := &heir{}
	for field := range strings.FieldsSeq(text) {
		name, number, _ := strings.Cut(field, "=")
		fd, err := strconv.Atoi(number)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("%s=%s: malformed", heirEnv, text)
		}
		syscall.CloseOnExec(fd)
		if name == "timers" {
			syscall.SetNonblock(fd, true) // so that reading it can have a deadline
		}
		f := os.NewFile(uintptr(fd), name)
		switch name {
		case "ready":
			h.ready = f
		case "timers":
			h.timers = f
		case "pid":
			h.pid = f
		case "log":
			h.log = f
		case "access":
			h.access = f
		case "dir":
			h.dir = f
		case "root":
			h.root = &rootFiles{f}
		}
	}
	if h.ready == nil {
		return nil, fmt.Errorf("%s=%s: malformed", heirEnv, text)
	}
	return h, nil
}

// inOldDir calls fn in the working directory of the old process, where the paths of its sockets have the meaning that they had
// there.
func (h *heir) inOldDir(fn func() error) error {
	if h == nil || h.dir == nil {
		return fn()
	}
	defer h.dir.Close()
	here, err := os.Open(".")
	if err != nil {
		return err
	}
	defer here.Close()
	if err := h.dir.Chdir(); err != nil {
		return err
	}
	defer here.Chdir()
	return fn()
}

// tellReady tells the old process to hand over.
func (h *heir) tellReady() error {
	if h == nil {
		return nil
	}
	_, err := h.ready.Write([]byte{0})
	return errors.Join(err, h.ready.Close())
}

// awaitWorkers delays a process that takes over until its workers are ready. Until then the old process serves.
func (h *heir) awaitWorkers(ctx context.Context, g *generation) error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, workersTimeout)
	defer cancel()
	return g.host.AwaitWorkers(ctx)
}
