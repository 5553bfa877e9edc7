package reactor

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InMemory reports whether n bytes of a file, from offset on, can be read without waiting for a disk. It asks for the first and the
// last of them: the system reads and forgets files in large pieces. If it cannot tell, for the file system or at the
// end of the file, the answer is true.
func InMemory(file int, offset, n int64) bool {
	return byteInMemory(file, offset) && (n == 1 || byteInMemory(file, offset+n-1))
}

func byteInMemory(file int, offset int64) bool {
	var room byte
	part := unix.Iovec{Base: &room}
	part.SetLen(1)
	// preadv2 takes the offset in two halves. The high one counts only where a register has 32 bits.
	_, _, errno := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(file), uintptr(unsafe.Pointer(&part)), 1,
		uintptr(offset), uintptr(uint64(offset)>>32), unix.RWF_NOWAIT)
	runtime.KeepAlive(&room)
	return errno != unix.EAGAIN
}
