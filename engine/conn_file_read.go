package engine

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
)

// A loop must not wait for a disk. Before a range of a file is sent, the system is asked whether it is in memory. If not, a
// goroutine reads it, after which it is. Files of a network, or of another program, are never read on the loop: even bytes in
// memory may have to be confirmed. They are read into memory of ours, piece by piece.

const (
	// aheadBytes is how much of a file is read at once that is not in memory: enough for a disk, and little beside what it keeps in
	// memory anyway.
	aheadBytes = 512 << 10
	// mountPiece is how much of a file of another file system a connection holds.
	mountPiece = 64 << 10
)

// warmFile is what of a file was in memory a moment ago: a range, and pieces of it. A file that many ask for costs no call for each of them,
// even if each is at another place of it.
type warmFile struct {
	file     backend.SentFile
	from, to int64
	pieces   uint64 // a bit for each of the first warmPieces
	untilMS  uint64
}

const (
	// warmFiles is how many of them a loop knows.
	warmFiles = 64
	// warmTime is how long they are taken to be in memory. The system forgets first what was not used lately.
	warmTime = time.Second
	// warmPiece is the size of a piece. Files of up to warmPieces of them, 64 MiB, are known piece by piece.
	warmPiece  = 1 << 20
	warmPieces = 64
)

// covers reports whether a range is known to have been in memory.
func (w *warmFile) covers(offset, n int64) bool {
	if w.from <= offset && offset+n <= w.to {
		return true
	}
	first, last := offset/warmPiece, (offset+n-1)/warmPiece
	return last < warmPieces && w.pieces>>first&1 != 0 && w.pieces>>last&1 != 0 && last-first <= 1
}

// learn takes note of a range that is in memory, and of the pieces of which it has a part, if they are and end before end: what comes after that
// may not be part of the file.
func (w *warmFile) learn(l *loop, offset, n, end int64) {
	w.from, w.to = offset, offset+n
	for p := offset / warmPiece; p <= (offset+n-1)/warmPiece && p < warmPieces && (p+1)*warmPiece <= end; p++ {
		if w.pieces>>p&1 == 0 && l.sys.inMemory(w.file.Fd(), p*warmPiece, warmPiece) {
			w.pieces |= 1 << p
		}
	}
}

// inMemory reports whether the next n bytes of a range that ends at end can be sent without waiting for a disk, as far as is known.
func (l *loop) inMemory(f backend.SentFile, offset, n, end int64) bool {
	now, w := l.sys.nowMS(), &l.warm[f.Fd()%warmFiles]
	known := w.file == f && now < w.untilMS
	if known && w.covers(offset, n) {
		return true
	}
	if !l.sys.inMemory(f.Fd(), offset, n) {
		return false
	}
	if !known {
		*w = warmFile{file: f, untilMS: now + uint64(warmTime/time.Millisecond)}
	}
	w.learn(l, offset, n, end)
	return true
}

// fileRead is a read in progress: of the first range of a list, or of the file of a spooled response.
type fileRead struct {
	file backend.SentFile
	left atomic.Bool // by the connection, which needs the file no more, or by the goroutine, which cannot tell the loop because that has ended
}

// leave says that the caller needs the file no more. The second one who says so releases it.
func (r *fileRead) leave() {
	if r.left.Swap(true) {
		r.file.Release()
	}
}

// readDone has the loop call then when a goroutine has read, unless the connection has left the file meanwhile.
func (l *loop) readDone(r *fileRead, then func()) {
	told := l.sys.post(func() {
		if r.left.Load() {
			r.leave()
		} else {
			then()
		}
	})
	if !told {
		r.leave()
	}
}

// sendsNow reports whether a range that is sent now need not be read first.
func (l *loop) sendsNow(f backend.SentFile, offset, n int64) bool {
	return backend.MountOf(f) == 0 && l.inMemory(f, offset, min(n, fileBytesPerTurn), offset+n)
}

// ready returns how many of the next n bytes of a range can be sent now. 0: they are being read, and the connection goes on then.
func (c *conn) ready(r *fileRange, n int64) int64 {
	q := c.files
	switch {
	case q.reading != nil:
		return 0
	case r.pipe != nil:
		return n
	case len(r.data) > 0:
		return min(n, int64(len(r.data)))
	case r.mount != 0:
		c.readMounted(r)
		return 0
	case r.loaded > 0:
		// Memory may be so short that the bytes have gone already. Once, the loop waits for them: otherwise they would be read for ever.
		n = min(n, r.loaded)
		r.loaded = 0
		return n
	case c.l.inMemory(r.file, r.offset, n, r.offset+r.left):
		return n
	}
	c.readAhead(r)
	return 0
}

// readAhead reads the next bytes of a range, so that they are in memory.
func (c *conn) readAhead(r *fileRange) {
	n := min(r.left, aheadBytes)
	fd, offset := r.file.Fd(), r.offset
	c.readFile(r, func() error { return c.l.sys.readAll(fd, offset, n) }, func(error) {
		r := &c.files.ranges[0]
		r.loaded = n // an error will show when the range is sent
	})
}

// readMounted reads the next piece of a range.
func (c *conn) readMounted(r *fileRange) {
	data := make([]byte, min(r.left, mountPiece))
	got, fd, offset := 0, r.file.Fd(), r.offset
	c.readFile(r, func() (err error) {
		got, err = c.l.sys.readFile(fd, data, offset)
		return err
	}, func(err error) {
		switch {
		case got > 0:
			c.files.ranges[0].data = data[:got]
		case err == nil || errors.Is(err, io.EOF):
			c.fileLost(causeFileShort)
		default:
			c.fileLost(err.Error())
		}
	})
}

// readFile calls read on a goroutine, and then took on the loop, unless the connection has ended. The file of r stays open until
// then.
func (c *conn) readFile(r *fileRange, read func() error, took func(error)) {
	q, reading := c.files, &fileRead{file: r.file}
	q.reading = reading
	c.l.sys.startRead(r.mount, func() {
		err := read()
		c.l.readDone(reading, func() {
			q.reading = nil
			if took(err); !c.socket.broken {
				c.flush(c.l.sys.nowMS())
			}
		})
	})
}
