package engine

import (
	"log/slog"

	"moonbridge/engine/spool"
	"moonbridge/handler/logging"
)

// A response that the peer takes slowly waits in the output (memory), then in a file. While the file holds unsent bytes, the
// output is not empty and its bytes come before those of the file.

// spoolOutput moves a, then b, to the file of the response, as far as they fit, and returns how many bytes it has moved. When
// it opens the file, the first bytes of the response stay in memory.
func (c *conn) spoolOutput(a, b []byte) (n int) {
	if c.spool == nil {
		n = c.output.keep(c.l.pool, a, b, max(0, spoolAhead-c.output.Len()))
		a, b = from(a, b, n)
		if !c.openOutput() {
			return n
		}
	}
	return n + c.appendSpooled(c.spool.output, a, b)
}

// appendSpooled appends a, then b, to a file of output, as far as they fit, and returns how many bytes it has appended.
func (c *conn) appendSpooled(f *spool.File, a, b []byte) int {
	total := int64(len(a) + len(b))
	own, shared := c.roomOf(f)
	room := int(max(0, min(own, shared, total)))
	n, err := appendBoth(f, a[:min(len(a), room)], b[:min(len(b), max(0, room-len(a)))])
	if err == nil && shared < min(own, total) {
		err = spool.ErrFull
	}
	if err != nil {
		c.outputNotSpooled(err)
	}
	return n
}

func appendBoth(f *spool.File, a, b []byte) (n int, err error) {
	if n, err = f.Append(a); err != nil || len(b) == 0 {
		return n, err
	}
	m, err := f.Append(b)
	return n + m, err
}

// openOutput opens the file of a response, and moves all but the start of the output to it.
func (c *conn) openOutput() bool {
	f, err := c.l.e.createOutput()
	if err != nil {
		c.outputNotSpooled(err)
		return false
	}
	c.spool = &spooled{output: f}
	unsent := c.output.Unsent()
	ahead := min(len(unsent), spoolAhead)
	if n, err := f.Append(unsent[ahead:]); err != nil || n < len(unsent)-ahead {
		c.outputNotSpooled(err)
		c.dropSpool()
		return false
	}
	start := c.l.spoolRoom()[:ahead]
	copy(start, unsent)
	c.output.Release(c.l.pool)
	c.output.Append(c.l.pool, start)
	return true
}

// outputNotSpooled: the rest of the response waits in the backend, as without a spool.
func (c *conn) outputNotSpooled(err error) {
	c.l.e.spool.waited.Add(1)
	c.l.e.tally.Add(logging.Event{Level: slog.LevelWarn, Message: responsesWait, Cause: err.Error()}, func() []slog.Attr {
		return clientAttr(c.socket.peer)
	})
}

// roomOf returns how many more bytes a file of output may take, within the limits of the response and of the spool.
func (c *conn) roomOf(f *spool.File) (own, shared int64) {
	lim, all := &c.service.limits, c.l.e.spool
	own = int64(lim.outputBytes) + lim.spoolOutput - int64(c.output.Len()) - f.Held()
	return own, all.outputRoom()
}

// spooledOutput returns how many bytes of the response wait in a file.
func (c *conn) spooledOutput() int64 {
	if c.spool == nil || c.spool.output == nil {
		return 0
	}
	return c.spool.output.Size() - c.spool.sent
}

// A file of the spool is in memory as long as the system has room. If it has not, a goroutine reads what comes next, like files that handlers send
// (conn_file_read.go). Meanwhile the end of what came before stays in the output, so that it is not empty.

// spoolWaits reports whether what waits in the output has to stay there, because the bytes that come after it have to be read from a disk.
func (c *conn) spoolWaits() bool {
	s := c.spool
	switch {
	case s == nil || s.reading != nil:
		return s != nil
	case s.loaded || c.spooledInMemory(s.sent):
		return false // if memory is so short that they have gone already, the loop waits for them, once
	}
	c.readSpooled()
	return true
}

// spooledInMemory reports whether the piece of the response that begins at offset, if there is one, can be read without waiting for a disk.
func (c *conn) spooledInMemory(offset int64) bool {
	f := c.spool.output
	if f == nil || offset >= f.Size() {
		return true
	}
	return c.l.sys.inMemory(f.Fd(), offset, min(spoolPiece, f.Size()-offset))
}

// readSpooled has a goroutine read what comes next.
func (c *conn) readSpooled() {
	s, reading := c.spool, &fileRead{file: spoolAfter{c.spool.output}}
	fd, offset, n := s.output.Fd(), s.sent, min(aheadBytes, c.spooledOutput())
	s.reading = reading
	c.l.sys.startRead(0, func() {
		c.l.sys.readAll(fd, offset, n) // an error shows when the bytes are sent
		c.l.readDone(reading, func() {
			s.reading, s.loaded = nil, true
			c.flush(c.l.sys.nowMS())
		})
	})
}

// flushFile sends the bytes of the output, then those of the file. It reports whether the socket would take more now: that is
// left for a later turn.
func (c *conn) flushFile() (more bool) {
	s := c.spool
	for writes := 0; c.spooledOutput() > 0 && c.output.Len() == 0; writes++ {
		p := c.l.spoolRoom()
		p = p[:min(int64(len(p)), c.spooledOutput())]
		if _, err := s.output.ReadAt(p, s.sent); err != nil {
			c.outputLost(err)
			return false
		}
		s.loaded = false
		end := s.sent + int64(len(p))
		now := len(p) // how many of them may be sent
		waits := !c.spooledInMemory(end)
		if waits {
			now = max(0, now-spoolAhead)
		}
		n := 0
		if more = c.socket.writable && writes == spoolWritesPerTurn; !more && now > 0 {
			n = c.socket.write(&c.l.sys, p[:now], nil)
		}
		ahead := min(len(p), n+spoolAhead)
		c.output.Append(c.l.pool, p[n:ahead])
		s.sent += int64(ahead)
		if c.socket.broken {
			return false
		}
		if waits && s.sent == end {
			c.readSpooled()
			more = false
		}
	}
	c.shrinkFile(s.output)
	return more
}

// shrinkFile frees the space of bytes that have been sent: from time to time, or soon if the backend waits for space.
func (c *conn) shrinkFile(f *spool.File) {
	s, enough := c.spool, int64(spoolDrop)
	if c.exchange.wantsRoom {
		enough = spoolPiece
	}
	switch {
	case s.sent == f.Size():
		c.dropSpool()
	case s.sent-(f.Size()-f.Held()) >= enough:
		f.Drop(s.sent)
	}
}

// outputLost: the rest of the response cannot be read.
func (c *conn) outputLost(err error) {
	c.l.e.log.Error("response lost", "loop", c.l.index, "err", err)
	c.breakOff()
}
