package engine

import "syscall"

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
	if r.mount != 0 {
		return c.sendData(r, n)
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
	if s, is := r.file.(spoolAfter); is && r.offset-(s.f.Size()-s.f.Held()) >= spoolDrop {
		s.f.Drop(r.offset)
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
