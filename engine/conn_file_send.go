package engine

import (
	"syscall"

	"moonbridge/engine/spool"
)

// fileBytesPerTurn bounds how much of files a connection sends before the others get their turn.
const fileBytesPerTurn = 1 << 20

// sendWaiting sends what waits in memory, in the spool and of files, as far as the socket takes it now.
func (c *conn) sendWaiting() {
	if c.spoolWaits() {
		return
	}
	if c.output.Len() > 0 {
		c.writeOutput()
	}
	if c.spool != nil && c.spool.output != nil && c.output.Len() == 0 && c.flushFile() {
		c.flushLater()
	}
	if c.files != nil && c.output.Len() == 0 && c.spool == nil && c.sendFiles() {
		c.sendFilesLater()
	}
}

// sendFiles sends ranges of files and the bytes after them. It reports whether the socket would take more now: that is left for
// a later turn.
func (c *conn) sendFiles() (more bool) {
	for budget := int64(fileBytesPerTurn); c.socket.writable && !c.socket.broken; {
		r := &c.files.ranges[0]
		switch {
		case r.left == 0:
			c.fileSent()
			if c.files == nil || c.output.Len() > 0 {
				return false
			}
		case budget == 0:
			return true
		default:
			n := c.ready(r, min(r.left, budget))
			if n == 0 {
				return false
			}
			budget -= c.sendFile(r, n)
		}
	}
	return false
}

// sendFile sends up to n bytes of a range, and returns how many the socket has taken.
func (c *conn) sendFile(r *fileRange, n int64) int64 {
	switch {
	case r.mount != 0:
		return c.sendData(r, n)
	case r.pipe != nil:
		return c.sendPiped(r)
	}
	if s, is := r.file.(spoolAfter); is {
		return c.sendSpooled(r, s.f, n)
	}
	sent, errno := c.l.sys.sendFile(c.socket.fd, r.file.Fd(), r.offset, n)
	switch {
	case errno == syscall.EAGAIN:
		c.socket.writable = false
	case errno == syscall.EPIPE, errno == syscall.ECONNRESET, errno == syscall.ETIMEDOUT:
		c.socket.broken = true
	case errno != 0:
		c.fileLost(errno.Error())
	case sent == 0:
		c.fileLost(causeFileShort)
	}
	r.offset += sent
	r.left -= sent
	c.files.unsent -= sent
	return sent
}

// sendSpooled sends a part of a range of the spool, by copying: what sendfile has sent are pages of the file, and the system overwrites a
// large page with zeros when the start of it is dropped, though a peer on this machine has not read it yet.
func (c *conn) sendSpooled(r *fileRange, f *spool.File, n int64) int64 {
	p := c.l.spoolRoom()
	p = p[:min(int64(len(p)), n)]
	if _, err := f.ReadAt(p, r.offset); err != nil {
		c.fileLost(err.Error())
		return 0
	}
	sent := int64(c.socket.write(&c.l.sys, p, nil))
	r.offset += sent
	r.left -= sent
	c.files.unsent -= sent
	if r.offset-(f.Size()-f.Held()) >= spoolDrop {
		f.Drop(r.offset)
	}
	return sent
}

// sendData sends up to n bytes that were read of a range.
func (c *conn) sendData(r *fileRange, n int64) int64 {
	sent := int64(c.socket.write(&c.l.sys, r.data[:n], nil))
	r.data = r.data[sent:]
	r.offset += sent
	r.left -= sent
	c.files.unsent -= sent
	return sent
}

// sendPiped sends what is in the pipe.
func (c *conn) sendPiped(r *fileRange) int64 {
	sent := c.sendPipe(r.pipe)
	r.left -= sent
	c.files.unsent -= sent
	return sent
}

// fileSent: the first range is sent. The bytes after it are the output now.
func (c *conn) fileSent() {
	r := c.files.takeFirst()
	r.file.Release()
	if len(c.files.ranges) == 0 {
		c.files = nil
	}
	c.output.Output = r.after
	if c.output.Len() > 0 {
		c.writeOutput()
	}
}

// sendFilesLater goes on in the next turn: the socket has room already, so it will not report that.
func (c *conn) sendFilesLater() {
	if q := c.files; !q.posted {
		q.posted = true
		c.l.sys.post(func() {
			q.posted = false
			if c.state != stateClosed && c.files == q {
				c.flush(c.l.sys.nowMS())
			}
		})
	}
}
