package reactor

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking lets the goroutine of a loop wait as one does that reads from a socket: the descriptor of the poller is itself registered with
// that of Go's runtime. A thread that blocks in epoll_wait holds its processor until sysmon takes it away, 20 µs to 10 ms later. If there is
// no other one, all goroutines wait for that.
type parking struct {
	file *os.File // a duplicate of the descriptor, which gnet's poller closes itself
	raw  syscall.RawConn

	// For raw.Read. They are made once, so that waiting allocates nothing.
	fetch, pass func(uintptr) (done bool)

	n      int           // what fetch has fetched
	errno  syscall.Errno // of fetch
	rung   bool          // pass has rung the bell
	parked bool          // fetch may have parked; hasParked resets it
}

// park makes run wait by parking. b is a registered bell.
func (p *poller) park(b bell) error {
	fd, err := unix.FcntlInt(uintptr(p.descriptor()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile registers only such
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	k := &parking{file: os.NewFile(uintptr(fd), "poller")}
	if err := k.file.SetDeadline(time.Time{}); err != nil { // it is not registered
		k.file.Close()
		return err
	}
	if k.raw, err = k.file.SyscallConn(); err != nil {
		k.file.Close()
		return err
	}
	k.fetch = func(uintptr) bool {
		k.n, k.errno = readyEvents(p.fd, p.events)
		return k.n > 0 || k.errno != 0
	}
	k.pass = func(uintptr) bool {
		if !k.rung {
			k.rung = true
			b.ring()
			return false
		}
		return true
	}
	p.parking = k
	return nil
}

// wait fetches events. It parks until there are some.
func (k *parking) wait() (int, syscall.Errno) {
	k.parked = true
	if err := k.raw.Read(k.fetch); err != nil {
		return 0, syscall.EBADF
	}
	return k.n, k.errno
}

// yield lets other goroutines run: those that could run already, and those whose socket or timer is ready. After runtime.Gosched only the
// former would: the scheduler looks for events of sockets when there is nothing to run, and a goroutine that has yielded is something to
// run. Then nobody looks but sysmon, every 10 ms. So the loop parks. The bell that it has rung before ends that.
func (k *parking) yield() {
	k.rung = false
	k.raw.Read(k.pass)
}

// hasParked reports whether run may have parked since the last call.
func (k *parking) hasParked() bool {
	parked := k.parked
	k.parked = false
	return parked
}

func (k *parking) close() {
	if k != nil {
		k.file.Close()
	}
}
