package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// awaitNew waits until the pid file has another process, and the old one has ended. It returns the new one.
func (s *instance) awaitNew(pidName string) (pid int) {
	s.t.Helper()
	eventually(s.t, "the pid file has the new process", func() bool {
		text, err := os.ReadFile(pidName)
		if err != nil {
			s.t.Fatal(err)
		}
		pid = number(s.t, strings.TrimSpace(string(text)))
		return pid != s.pid()
	})
	s.awaitExit()
	return pid
}

// HUP that comes while a new process is loading is for that process: it may have read the script before.
func TestReloadWhileUpgrading(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, open := newFIFO(t)
	pidName := filepath.Join(t.TempDir(), "pid")
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, "-p", pidName, a.script)
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("two") }`, fifo)
	s.signal(syscall.SIGUSR2)
	s.wait("msg=loading")
	a.write(`@ listen{ port, connect = say("three") }`)
	s.signal(syscall.SIGHUP)
	eventually(t, "the signal is noticed", func() bool {
		return containsAll(s.log.String(), []string{"reload remembered until the upgrade is over"}) || strings.Contains(s.log.String(), "msg=reloaded")
	})
	open()
	heir := s.awaitNew(pidName)
	eventually(t, "the latest script serves", func() bool { return get(t, s.url("/")) == "three" })
	s.endOf(heir)
}

// If the new process fails, this one does what HUP asked for while it was loading, and goes on with a reload that USR2 has ended.
func TestReloadAfterFailedUpgrade(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, open := newFIFO(t)
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, a.script)
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() error("on purpose")`, fifo)
	s.signal(syscall.SIGUSR2)
	s.wait("msg=loading")
	a.write(`@ listen{ port, connect = say("two") }`)
	s.signal(syscall.SIGHUP)
	s.wait("reload remembered until the upgrade is over")
	open()
	s.wait("upgrade failed")
	s.wait("msg=reloaded")
	if got := get(t, s.url("/")); got != "two" {
		t.Errorf("%q", got)
	}

	from := s.log.size()
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("three") }`, fifo)
	s.signal(syscall.SIGHUP)
	s.log.wait(t, from, "msg=loading")
	a.write(`error("this time, too")`)
	s.signal(syscall.SIGUSR2)
	s.log.wait(t, from, "reload aborted")
	s.log.wait(t, from, "upgrade failed")
	s.log.wait(t, from, "reload failed", "this time, too")
	if got := get(t, s.url("/")); got != "two" {
		t.Errorf("%q", got)
	}
}

// The reason why a new process has failed is in the log, also if that is a file: standard error may lead nowhere.
func TestUpgradeFailsIntoLog(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	name := filepath.Join(t.TempDir(), "log")
	a.write(`@ listen{ port, connect = say("one") }`)
	s := launch(t, "-l", name, a.script)
	fileLog(t, name, "msg=ready")
	a.write(`error("on purpose")`)
	s.signal(syscall.SIGUSR2)
	fileLog(t, name, "upgrade failed: this process keeps running")
	fileLog(t, name, "level=ERROR", "on purpose")
}

// USR1 that comes while a new process is loading holds for that process, too. It has the files that were moved away.
func TestReopenWhileUpgrading(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, open := newFIFO(t)
	dir := t.TempDir()
	pidName, name, access := filepath.Join(dir, "pid"), filepath.Join(dir, "log"), filepath.Join(dir, "access")
	a.write(`@ listen{ port, connect = say("one") }`)
	s := launch(t, "-p", pidName, "-l", name, "--access-log", access, a.script)
	fileLog(t, name, "msg=ready")
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("two") }`, fifo)
	s.signal(syscall.SIGUSR2)
	fileLog(t, name, "msg=loading")
	for _, one := range []string{name, access} {
		if err := os.Rename(one, one+".1"); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGUSR1)
	eventually(t, "the files are there again", func() bool {
		_, err := os.Stat(name)
		_, errAccess := os.Stat(access)
		return err == nil && errAccess == nil
	})
	open()
	heir := s.awaitNew(pidName)
	a.write(`@ listen{ port, connect = say("three") }`)
	if err := syscall.Kill(heir, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	fileLog(t, name, "msg=reloaded")
	text, err := os.ReadFile(name + ".1")
	if err != nil {
		t.Fatal(err)
	}
	at := field(string(text), "address")
	get(t, at+"of-the-new-process")
	fileLog(t, access, "GET /of-the-new-process")
	s.endOf(heir)
}

// USR1 just before USR2 holds for the new process, too, although the files are not open again when it gets those of before. Here they are
// not until the FIFOs in their place have readers.
func TestUpgradeWhileReopening(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	pidName, name, access := filepath.Join(dir, "pid"), filepath.Join(dir, "log"), filepath.Join(dir, "access")
	a.write(`@ listen{ port, connect = say("one") }`)
	s := launch(t, "-p", pidName, "-l", name, "--access-log", access, a.script)
	fileLog(t, name, "msg=ready")
	for _, one := range []string{name, access} {
		if err := os.Rename(one, one+".1"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(one, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGUSR1)
	s.signal(syscall.SIGUSR2)
	fileLog(t, name+".1", "msg=upgrading")
	heir := s.awaitNew(pidName)
	text, err := os.ReadFile(name + ".1")
	if err != nil {
		t.Fatal(err)
	}
	at := field(string(text), "address")
	for _, one := range []struct {
		file, want string
		have       func()
	}{
		{name, "msg=reloaded", func() { syscall.Kill(heir, syscall.SIGHUP) }},
		{access, "GET /of-the-new-process", func() { get(t, at+"of-the-new-process") }},
	} {
		// Also for writing, though nothing is written: the new process may open it later, and without a writer it is at its end.
		r, err := os.OpenFile(one.file, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		lines := &written{}
		go io.Copy(lines, r)
		eventually(t, "the new process writes to "+one.file, func() bool {
			one.have()
			return strings.Contains(lines.String(), one.want)
		})
	}
	s.endOf(heir)
}

// written is what was written so far.
type written struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// A process that is replaced does not lock the log that it opens late: it is that of the new process.
func TestLogLeftWhileReopening(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	blocked := make(chan struct{})
	open := func(name string) (*os.File, error) {
		<-blocked
		return plain(name)
	}
	f, err := plain(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLogFile("log file", name, true, open, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	l.reopen(func(err error) { done <- err })
	l.leave(f)
	close(blocked)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer l.file().Close()
	other, err := newLogFile("log file", name, true, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	other.file().Close()
}

// A server ends, though it is loading a script from a disk that hangs.
func TestStopWhileReloadHangs(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, a.script)
	if err := os.Remove(a.script); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(a.script, 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloading")
	s.signal(syscall.SIGUSR2)
	s.wait("upgrade failed", "hangs")
	s.stop()
}
