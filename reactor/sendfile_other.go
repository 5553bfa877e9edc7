//go:build !linux

package reactor

import "syscall"

// SendFile sends up to n bytes of the file, from offset on, to a non-blocking socket. The file's position is neither used nor
// changed. The socket may take only the first bytes; errno is EAGAIN if it has no room now. sent is 0 with errno 0 at the end
// of the file. The call waits for the disk if the bytes are not in memory.
func SendFile(socket, file int, offset, n int64) (sent int64, errno syscall.Errno) {
	return copyFile(socket, file, offset, n)
}
