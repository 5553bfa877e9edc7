package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// USR2 replaces the running binary with a new one. The new binary is started with the listening sockets, the pid file
// and the log file of this process. When it serves, this process stops accepting, completes its running requests, and
// exits. If the new process does not get that far, this process keeps serving as if nothing had happened. No connection
// is refused, because the sockets are never closed.

// heirEnv tells a process to take over: "ready=FD timers=FD pid=FD log=FD access=FD root=FD dir=FD
// tickets=FD certs=FD admin=FD token=FD channels=FD". Those of the files, the admin listener and of the root helper are present if these exist. dir is the working directory of the old
// process, tickets a pipe with the keys of TLS session tickets, certs one with certificates and their keys, token one with the token of orders, channels a socket through which the new process gets the channels.
const heirEnv = "MOONBRIDGE_HEIR"

// upgradeTimeout is how long a new process may take to start serving, besides its tests.
const upgradeTimeout = 2 * workersTimeout

// quitGrace is how long a new process has to exit after the upgrade is aborted.
const quitGrace = 5 * time.Second

// upgrade is a new process that is about to take over.
type upgrade struct {
	cmd      *exec.Cmd
	ended    func() error  // waits for its end, and says how it was
	ready    *os.File      // it writes to this when it serves
	timers   *os.File      // for reports about our timers
	channels net.Conn      // on which it asks for the channels
	handed   chan struct{} // closed when they are not passed on any more
	done     chan error    // receives once: nil when it serves, or an error

	log    *os.File // the file of the log when it was passed on; nil: none was
	reopen bool     // USR1 has come meanwhile, or just before: the new process has the files of before
	hangup bool     // HUP has come meanwhile: the new process may have read the script before
	reload bool     // a reload was ended for the upgrade: if that fails, it is made up for
}

// close closes what was opened for a process that could not be started.
func (u *upgrade) close() {
	for _, f := range []*os.File{u.ready, u.timers} {
		if f != nil {
			f.Close()
		}
	}
	if u.channels != nil {
		u.channels.Close()
	}
}

// over returns the channel that receives the result of the upgrade. It is nil, which blocks forever, if there is none.
func (u *upgrade) over() <-chan error {
	if u == nil {
		return nil
	}
	return u.done
}

// end aborts an upgrade in progress, before the server ends because of the signal sig. The new process gets that signal, too: if
// it serves already, which this process has not noticed yet, it completes its requests if this one does.
func (u *upgrade) end(sig os.Signal) (serves bool) {
	if u == nil {
		return false
	}
	kill := u.stop(sig)
	if serves = <-u.done == nil; serves {
		kill.Stop()
	}
	return serves
}

// stop ends the new process. It gets quitGrace to end its own child processes, unless the timer is stopped.
func (u *upgrade) stop(sig os.Signal) (kill *time.Timer) {
	u.cmd.Process.Signal(sig)
	return time.AfterFunc(quitGrace, func() { u.cmd.Process.Kill() })
}

// errReloadHangs: two processes would wait for the same disk.
var errReloadHangs = errors.New("a reload hangs")

// upgrade starts an upgrade. It returns at once.
func (s *server) upgrade() {
	if s.upgrading != nil {
		s.log.Warn("upgrade: another one is in progress", "pid", s.upgrading.cmd.Process.Pid)
		return
	}
	reload := s.reloading != nil
	if !s.endReload() { // the new process loads the script anyway
		s.log.Error("upgrade failed", "err", errReloadHangs)
		s.reloading.again = true
		return
	}
	u, err := s.startHeir()
	if err != nil {
		s.log.Error("upgrade failed", "err", err)
		if reload {
			s.reload()
		}
		return
	}
	u.reload = reload
	s.log.Info("upgrading", "pid", u.cmd.Process.Pid)
	s.upgrading = u
	go func() { u.done <- u.await(upgradeTimeout + s.o.selftestTimeout) }()
	go s.handOverChannels(u)
}

// await waits until the new process serves or has failed.
func (u *upgrade) await(timeout time.Duration) error {
	defer u.ready.Close()
	u.ready.SetReadDeadline(time.Now().Add(timeout))
	var b [1]byte
	_, err := io.ReadFull(u.ready, b[:])
	if err == nil {
		go u.ended() // reaps it if it exits while we drain
		return nil
	}
	u.stop(syscall.SIGQUIT)
	how := u.ended()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the new process was not ready within %v", timeout)
	}
	return fmt.Errorf("the new process has ended: %w", how)
}

// upgraded is called when an upgrade is over. It reports whether this process must exit.
func (s *server) upgraded(err error) bool {
	u := s.upgrading
	s.upgrading = nil
	if err != nil {
		u.timers.Close()
		u.channels.Close()
		s.channels.Reclaim()
		s.log.Error("upgrade failed: this process keeps running", "err", err)
		if u.hangup || u.reload {
			s.reload()
		}
		return false
	}
	s.acme.Retire()
	handOverTimers(s.intervals, u.timers)
	s.handedOver, s.handing = true, u.handed
	s.successor = u.cmd.Process
	s.listening.Lock()
	for _, a := range s.addresses {
		a.ln.HandOver()
	}
	s.addresses = nil
	s.listening.Unlock()
	s.admin.handOver()
	s.pid = nil // the file now belongs to the new process
	if u.reopen {
		s.out.leave(u.log)
		u.cmd.Process.Signal(syscall.SIGUSR1)
	}
	if u.hangup {
		u.cmd.Process.Signal(syscall.SIGHUP)
	}
	s.log.Info("handed over", "pid", u.cmd.Process.Pid)
	return true
}

// tellSuccessor tells the service manager that the process that has taken over is the main one, if it lives. When the main process has ended,
// the manager kills what is left. So, if both processes stop, it is told at the end of this one.
func (s *server) tellSuccessor() {
	p := s.successor
	s.successor = nil
	if p != nil && p.Signal(syscall.Signal(0)) == nil {
		s.notify(s.manager.send(fmt.Sprintf("MAINPID=%d", p.Pid)))
	}
}

// awaitPredecessor waits until the process that this one has replaced has completed its requests. The service manager would kill it: see
// tellSuccessor.
func (s *server) awaitPredecessor() {
	if s.predecessor == nil || s.manager.address == nil || s.hurried {
		return
	}
	select {
	case <-s.predecessor:
		return
	default:
		s.log.Info("stopped: waiting for the end of the process that this one has replaced")
	}
	for {
		select {
		case <-s.predecessor:
			return
		case sig := <-s.signals:
			if s.hurries(sig) {
				return
			}
		}
	}
}

// startHeir starts the new process.
func (s *server) startHeir() (u *upgrade, err error) {
	var pass passing
	defer pass.done()
	u = &upgrade{done: make(chan error, 1), handed: make(chan struct{})}
	if err = s.passFiles(u, &pass); err == nil {
		err = s.launchHeir(u, &pass)
	}
	if err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// launchHeir starts the program with the files that it is passed, in the directory that is the working directory now.
func (s *server) launchHeir(u *upgrade, pass *passing) error {
	sockets, err := s.passListeners(pass)
	if err != nil {
		return err
	}
	cmd := exec.Command(s.program, os.Args[1:]...)
	if s.dir.enterable() {
		cmd.Dir = s.dir.path
	}
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), heirEnv+"="+strings.Join(pass.named, " "), upgradeEnv+"="+sockets)
	list, err := s.passDictionaries(pass)
	if err != nil {
		return err
	}
	if list != "" {
		cmd.Env = append(cmd.Env, dictionariesEnv+"="+list)
	}
	if s.manager.address != nil {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.manager.address.Name)
		if w := s.manager.watchdog; w > 0 {
			cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", w.Microseconds()))
		}
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = pass.files
	u.cmd = cmd
	if s.manager.address != nil && os.Getpid() != 1 {
		u.ended, err = startBeside(cmd)
		return err
	}
	u.ended = func() error { return endOf(cmd) }
	return cmd.Start()
}

// endOf waits for the end of a child process, and returns how it was.
func endOf(cmd *exec.Cmd) error {
	cmd.Wait()
	return errors.New(cmd.ProcessState.String())
}

// heir holds the files passed to a process that takes over. It is nil in any other process.
type heir struct {
	ready, timers, channels, pid, log, access, dir, tickets, certs, admin, token *os.File
	root                                                                         *rootFiles
}

// newHeir reads heirEnv and removes it from the environment.
func newHeir() (*heir, error) {
	text := os.Getenv(heirEnv)
	os.Unsetenv(heirEnv)
	if text == "" {
		return nil, nil
	}
	h := &heir{}
	var root *os.File
	named := map[string]**os.File{
		"ready": &h.ready, "timers": &h.timers, "pid": &h.pid, "log": &h.log, "access": &h.access, "dir": &h.dir, "root": &root,
		"tickets": &h.tickets, "certs": &h.certs, "admin": &h.admin, "token": &h.token, "channels": &h.channels,
	}
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
		if f := named[name]; f != nil {
			*f = os.NewFile(uintptr(fd), name)
		}
	}
	if h.ready == nil {
		return nil, fmt.Errorf("%s=%s: malformed", heirEnv, text)
	}
	if root != nil {
		h.root = &rootFiles{root}
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
