package engine

import (
	"log/slog"
	"slices"

	"moonbridge/bufio"
	"moonbridge/engine/spool"
	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
)

// A response may contain ranges of files (backend.FileSender). What is not sent of them waits in a list, and so does all output
// that comes after the first of them. It is sent after the output and the spool.

// fileList is the rest of the output, from the first range of a file on. Of bytes it holds no more than the output may.
type fileList struct {
	ranges []fileRange // the first is being sent; never empty in a connection
	own    int         // ranges of the exchange in progress
	kept   int         // bytes in memory
	unsent int64       // bytes in all
	posted bool        // the loop will go on in a later turn
	broken bool        // there were too many ranges

	reading *fileRead // nil: the first range is not being read
}

// fileRange is a range of a file, and the bytes that follow it.
type fileRange struct {
	file         backend.SentFile
	offset, left int64
	after        bufio.Output

	// See conn_file_read.go.
	mount  uint64 // backend.MountOf
	loaded int64  // bytes that were just read into the system's memory
	data   []byte // the next bytes, if mount is not 0

	pipe *pipe // that has the bytes; nil: the file has them
}

// add appends a range. It releases the file if there are too many.
func (q *fileList) add(f backend.SentFile, offset, n int64) {
	if q.own == backend.FileRangesMax {
		q.broken = true
	}
	if q.broken {
		f.Release()
		return
	}
	q.own++
	q.append(f, offset, n)
}

func (q *fileList) append(f backend.SentFile, offset, n int64) {
	q.ranges = append(q.ranges, fileRange{file: f, offset: offset, left: n, mount: backend.MountOf(f)})
	q.unsent += n
}

// addPipe appends what is in a pipe.
func (q *fileList) addPipe(p *pipe) {
	q.ranges = append(q.ranges, fileRange{file: p, left: int64(p.n), pipe: p})
	q.unsent += int64(p.n)
}

// last is the last range.
func (q *fileList) last() *fileRange { return &q.ranges[len(q.ranges)-1] }

// keep copies up to room bytes of a, then b, after the last range, and returns how many it copied.
func (q *fileList) keep(p *bufio.Pool, a, b []byte, room int) (kept int) {
	a = a[:min(len(a), room)]
	b = b[:min(len(b), room-len(a))]
	after := &q.last().after
	after.Append(p, a)
	after.Append(p, b)
	kept = len(a) + len(b)
	q.kept += kept
	q.unsent += int64(kept)
	return kept
}

// takeFirst removes the first range. The caller releases its file, and has the bytes after it.
func (q *fileList) takeFirst() fileRange {
	r := q.ranges[0]
	q.ranges = slices.Delete(q.ranges, 0, 1)
	q.own = min(q.own, len(q.ranges))
	q.kept -= r.after.Len()
	q.unsent -= r.left + int64(r.after.Len())
	return r
}

// release gives back everything.
func (q *fileList) release(p *bufio.Pool) {
	for i := range q.ranges {
		if i > 0 || q.reading == nil {
			q.ranges[i].file.Release()
		}
		q.ranges[i].after.Release(p)
	}
	if q.reading != nil {
		q.reading.leave()
	}
}

// OutputFile implements backend.FileSender.
func (c *conn) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	if c.state != stateDispatched || c.socket.broken {
		f.Release()
		return
	}
	c.exchange.begun = true
	if record := c.exchange.record; record != nil {
		record.Response.Skip(n)
	}
	stalled := c.waits()
	if c.files == nil {
		c.files = new(fileList)
	}
	c.files.add(f, offset, n)
	switch {
	case c.files.broken:
		c.breakOff()
	case c.socket.writable:
		c.push(c.l.sys.nowMS())
	case !stalled:
		c.awaitPeer(c.l.sys.nowMS())
	}
}

// OutputJoined implements backend.FileJoiner. Without it, the bytes are a packet of their own, for which the peer wakes up. If the file has to
// be read first they are one anyway: the system would keep them for a fifth of a second.
func (c *conn) OutputJoined(a []byte, f backend.SentFile, offset, n int64, last bool) (taken int) {
	if !c.waits() && c.l.sendsNow(f, offset, n) {
		c.l.sys.joined(func() { taken = c.Output(a, nil, false) })
	} else {
		taken = c.Output(a, nil, false)
	}
	if taken == len(a) {
		c.OutputFile(f, offset, n, last)
	}
	return taken
}

// push sends what the socket takes now, within a call of the backend. The backend is told of nothing.
func (c *conn) push(nowMS uint64) {
	before := c.unsent()
	c.sendWaiting()
	if c.pipeline != nil {
		c.logSent(before - c.unsent())
	}
	if c.socket.broken {
		c.again()
		return
	}
	c.awaitPeer(nowMS)
}

// breakOff resets the connection in a later turn: the backend may be in the middle of its work. Nothing more is sent.
func (c *conn) breakOff() {
	c.l.sys.resetOnClose(c.socket.fd)
	c.socket.broken = true
	c.again()
}

// dropFiles gives back what waits of files.
func (c *conn) dropFiles() {
	if q := c.files; q != nil {
		c.files = nil
		q.release(c.l.pool)
	}
}

// keepAfterFile keeps output that comes after a range of a file, in memory or in the spool, and returns how many bytes it kept.
func (c *conn) keepAfterFile(a, b []byte, last bool) (kept int) {
	lim, q, n := &c.service.limits, c.files, len(a)+len(b)
	room := max(0, lim.outputBytes-c.output.Len()-q.kept)
	if lim.spoolOutput > 0 && (n > room || q.spooled() != nil) {
		if kept = c.spoolAfterFile(a, b); q.spooled() != nil {
			return kept
		}
	}
	if last {
		room = n
	}
	return q.keep(c.l.pool, a, b, room)
}

// roomAfterFile reports whether enough output was sent for the backend to go on.
func (c *conn) roomAfterFile() bool {
	enough := c.service.limits.outputBytes / 2
	if c.files.ranges[0].pipe != nil {
		return false
	}
	if f := c.files.spooled(); f != nil {
		own, shared := c.roomOf(f)
		return min(own, shared) >= int64(enough)
	}
	return c.output.Len()+c.files.kept <= enough
}

// spoolAfter is a file of the spool, with output that comes after a range of another file. It grows while it is the last.
type spoolAfter struct{ f *spool.File }

// Fd implements backend.SentFile.
func (s spoolAfter) Fd() int { return s.f.Fd() }

// Release implements backend.SentFile.
func (s spoolAfter) Release() { s.f.Close() }

// spooled is the file of the spool that takes further output, or nil.
func (q *fileList) spooled() *spool.File {
	if s, is := q.last().file.(spoolAfter); is {
		return s.f
	}
	return nil
}

// spoolAfterFile moves a, then b, to a file of the spool, as far as they fit, and returns how many bytes it has moved.
func (c *conn) spoolAfterFile(a, b []byte) int {
	q := c.files
	if q.spooled() == nil {
		f, err := c.l.e.createOutput()
		if err != nil {
			c.outputNotSpooled(err)
			return 0
		}
		q.append(spoolAfter{f}, 0, 0)
	}
	n := c.appendSpooled(q.spooled(), a, b)
	q.last().left += int64(n)
	q.unsent += int64(n)
	return n
}

// fileLost: the rest of a file cannot be sent.
func (c *conn) fileLost(cause string) {
	c.l.e.tally.Add(logging.Event{Level: slog.LevelError, Message: filesLost, Cause: cause}, func() []slog.Attr {
		return clientAttr(c.socket.peer)
	})
	c.breakOff()
}
