package shm

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Doorbell tells a sleeping process that there is work. On Linux it is an eventfd.
//
// It is not an os.File, because the runtime's own poller would wake up with every ring.
type Doorbell struct {
	fd   int
	once sync.Once
}

// NewDoorbell makes a doorbell. It does not block, and does not survive an exec.
func NewDoorbell() (*Doorbell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("doorbell: eventfd: %w", err)
	}
	d := &Doorbell{fd: fd}
	runtime.SetFinalizer(d, (*Doorbell).Close)
	return d, nil
}

// Ring wakes the process that waits at the reading end. It never blocks: a doorbell that is full has been rung already.
func (d *Doorbell) Ring() { ringFd(d.fd) }

// Drain takes back all rings so far. It never waits, whatever a worker has done: workers have the same eventfd, so one of them could make it
// block, and take a ring away before this. (A system older than Linux 5.8 does not know of RWF_NOWAIT here.)
func (d *Doorbell) Drain() {
	var b [8]byte
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	const noOffset = ^uintptr(0)
	_, _, e := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(d.fd), uintptr(unsafe.Pointer(&v)), 1, noOffset, noOffset, unix.RWF_NOWAIT)
	if e != 0 && e != unix.EAGAIN {
		unix.RawSyscall(unix.SYS_READ, uintptr(d.fd), uintptr(unsafe.Pointer(&b)), 8)
	}
}

// Reader is the descriptor to wait on.
func (d *Doorbell) Reader() int { return d.fd }

// Writer is the descriptor to ring with, by writing 8 bytes: the number 1.
func (d *Doorbell) Writer() int { return d.fd }

// Close releases the descriptors. The garbage collector does it for a doorbell that is no longer referenced. As long as it
// might still be rung it must stay open: otherwise its number could be that of another file.
func (d *Doorbell) Close() (err error) {
	d.once.Do(func() { err = unix.Close(d.fd) })
	return err
}

// ringFd rings the doorbell with the descriptor fd. It is a raw system call: it does not block, and takes less time than
// telling the scheduler about it.
func ringFd(fd int) {
	one := uint64(1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}
