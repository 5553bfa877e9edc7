package reactor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// SendFile sends up to n bytes of the file, from offset on, to a non-blocking socket. The file's position is neither used nor
// changed. The socket may take only the first bytes; errno is EAGAIN if it has no room now. sent is 0 with errno 0 at the end
// of the file. The call waits for the disk if the bytes are not in memory.
func SendFile(socket, file int, offset, n int64) (sent int64, errno syscall.Errno) {
	k, errno := uninterrupted(func() (int, error) { return unix.Sendfile(socket, file, &offset, int(n)) })
	switch errno {
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
		return copyFile(socket, file, offset, n) // not every file system can do it
	}
	return int64(k), errno
}
