package reactor

import (
	"io"

	"golang.org/x/sys/unix"
)

// Pread reads from a file, at an offset, until p is full or the file ends: then the error is io.EOF. It may wait for a disk, and
// is not for a loop.
func Pread(file int, p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		k, err := unix.Pread(file, p[n:], offset+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case k == 0:
			return n, io.EOF
		default:
			n += k
		}
	}
	return n, nil
}

// readAllPiece is how much ReadAll reads at once.
const readAllPiece = 64 << 10

// ReadAll reads n bytes of a file, from offset on, and forgets them. The system keeps them in memory. It may wait for a disk, and is not
// for a loop.
func ReadAll(file int, offset, n int64) error {
	p := make([]byte, min(n, readAllPiece))
	for n > 0 {
		k, err := Pread(file, p[:min(n, readAllPiece)], offset)
		if err != nil {
			return err
		}
		offset += int64(k)
		n -= int64(k)
	}
	return nil
}
