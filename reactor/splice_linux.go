package reactor

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CanSplice: Splice works on this system.
const CanSplice = true

// OpenPipe opens a pipe for Splice. Both ends are non-blocking, and closed on exec.
func OpenPipe() (Pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return Pipe{}, os.NewSyscallError("pipe2", err)
	}
	unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, PipeBytes) // a smaller one works too
	return Pipe{R: ends[0], W: ends[1]}, nil
}

// Splice moves at most n bytes from one descriptor to another, without copying them to this process. One of the two is an end of a
// pipe, the other a socket. moved is 0 with errno 0 at the end of file. errno is EAGAIN if from has nothing, or to has no room.
func Splice(from, to, n int) (moved int, errno syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), uintptr(unsafe.Pointer(nil)), uintptr(to),
			uintptr(unsafe.Pointer(nil)), uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if e == 0 {
			return int(r), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// ReadPipe reads from a pipe into p.
func ReadPipe(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if e == 0 {
			return int(r), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}
