package rawhttp

import (
	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// filePiece is how many bytes of a file are read at a time.
const filePiece = 64 << 10

// SendFile sends a body in a file, after all output so far, and waits until the kernel has it. short: the file has not the bytes. sent is
// false if the peer does not take them.
func (c *Conn) SendFile(fd int, b *shm.FileBody) (short, sent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sendAll() { // the head, which our own output would overtake
		return false, false
	}
	for _, p := range b.Parts {
		if c.own = p.Before; !c.sendAll() {
			return false, false
		}
		if short, sent = c.sendRange(fd, p.Offset, p.Length); !sent {
			return short, false
		}
	}
	c.own = b.Closing
	return false, c.sendAll()
}

func (c *Conn) sendRange(fd int, offset, n int64) (short, sent bool) {
	for n > 0 {
		k := min(n, filePiece)
		if !c.readFile(fd, offset, int(k)) {
			c.fail()
			return true, false
		}
		if !c.sendAll() {
			return false, false
		}
		offset += k
		n -= k
	}
	return false, true
}

// sendAll waits until the kernel has all output.
func (c *Conn) sendAll() bool {
	c.lookAtSocket()
	if c.drain() {
		return true
	}
	c.fail()
	return false
}

// readFile makes n bytes of a file our own output.
func (c *Conn) readFile(fd int, offset int64, n int) bool {
	if c.fileRoom == nil {
		c.fileRoom = make([]byte, filePiece)
	}
	for at := 0; at < n; {
		k, err := unix.Pread(fd, c.fileRoom[at:n], offset+int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil || k == 0 {
			return false
		}
		at += k
	}
	c.own = c.fileRoom[:n]
	return true
}
