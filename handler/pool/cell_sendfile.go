package pool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/mounts"
	"moonbridge/handler/shm"
)

// A response whose body is a file comes in two ways: the head through the out-window, as always, and what the body is in a
// message on the worker's control socket, with the descriptor of the file. The worker sends the message first. It is read on a
// goroutine and posted to the loop, so it may be here before the head or after it. The worker need not wait for either.

// outFile is the body of a response that is in a file.
type outFile struct {
	state  outFileState
	file   *passedFile
	pieces []filePiece // not given to the connection yet
	since  int64       // when it was first waited for; 0: it was not
}

type outFileState uint8

const (
	// outFileNone: none has arrived. Next: here, lost.
	outFileNone outFileState = iota
	// outFileHere: it has arrived, and part of it may have been given to the connection. Next: none.
	outFileHere
	// outFileLost: its message has arrived without the descriptor: this process has no room for more. Next: none.
	outFileLost
)

// filePiece is text, and a range of the file if n is not 0.
type filePiece struct {
	text      []byte
	offset, n int64
}

// passedFile is a descriptor that a worker has passed. It belongs to the loop.
type passedFile struct {
	fd, uses int
	mount    uint64
}

// Fd implements backend.SentFile.
func (f *passedFile) Fd() int { return f.fd }

// Release implements backend.SentFile.
func (f *passedFile) Release() {
	switch f.uses--; {
	case f.uses > 0:
	case f.mount != 0:
		go unix.Close(f.fd) // the file system may let it wait
	default:
		unix.Close(f.fd)
	}
}

// Mount implements backend.MountedFile.
func (f *passedFile) Mount() uint64 { return f.mount }

// piecesOf are the pieces of a body. The texts are copied.
func piecesOf(b *shm.FileBody) (pieces []filePiece) {
	for _, p := range b.Parts {
		pieces = append(pieces, filePiece{bytes.Clone(p.Before), p.Offset, p.Length})
	}
	if len(b.Closing) > 0 {
		pieces = append(pieces, filePiece{text: bytes.Clone(b.Closing)})
	}
	return pieces
}

// drop gives up what the connection has not been given.
func (o *outFile) drop() {
	if o.file != nil {
		o.file.Release()
	}
	*o = outFile{}
}

// receiveFile takes a message with a file, on the goroutine that reads the worker's control socket. What cannot be right ends the
// worker.
func (w *Worker) receiveFile(body []byte, fds []int) error {
	b, err := shm.ReadFileBody(body)
	l := w.p.loopAt(b.Loop)
	if err == nil && (l == nil || len(fds) > 1) {
		err = errMessage
	}
	fd := -1
	if err == nil && len(fds) == 1 {
		fd = fds[0]
		err = readableFile(fd)
	}
	if err != nil {
		closeFiles(fds)
		return err
	}
	if w.filesPosted.Add(1) > filesPostedMax && !w.awaitPosted() {
		w.filesPosted.Add(-1)
		closeFiles(fds)
		return errors.New("the loops do not take what the worker has sent")
	}
	pieces := piecesOf(&b)
	var file *passedFile
	if fd >= 0 {
		file = &passedFile{fd, 1, mounts.Of(fd)}
	}
	l.on.Post(func() {
		w.filesPosted.Add(-1)
		l.fileArrived(w, &b, pieces, file)
	})
	return nil
}

// filesPostedMax is how many files of a worker wait for busy loops. The worker then waits with the next one.
const filesPostedMax = 64

// awaitPosted waits until there is room for one more file, at most for takeSpan.
func (w *Worker) awaitPosted() bool {
	for end := time.Now().Add(takeSpan); w.filesPosted.Load() > filesPostedMax; time.Sleep(time.Millisecond) {
		if time.Now().After(end) || w.fault.Load() != nil || w.gone.Load() {
			return false
		}
	}
	return true
}

// readableFile returns nil for a regular file that is open for reading.
func readableFile(fd int) error {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG || flags&unix.O_ACCMODE == unix.O_WRONLY {
		return fmt.Errorf("%w: not a file that can be read", errMessage)
	}
	return nil
}

func closeFiles(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// fileArrived gives a file to the exchange that it is for, if that still waits for it.
// file is nil if there was no room for its descriptor.
func (l *loop) fileArrived(w *Worker, b *shm.FileBody, pieces []filePiece, file *passedFile) {
	c := l.cellOf(w, b)
	if c == nil || c.x == nil || c.answered || c.file.state != outFileNone {
		if file != nil {
			file.Release()
		}
		return
	}
	if c.file.state = outFileLost; file != nil {
		c.file = outFile{state: outFileHere, file: file, pieces: pieces}
	}
	if c.state.open() {
		c.inspect(l.on.Now())
	} else {
		c.deliver()
	}
}

// cellOf is the cell that a message of w is for, or nil.
func (l *loop) cellOf(w *Worker, b *shm.FileBody) *cell {
	if l.closed || uint64(b.Cell) >= uint64(len(l.cells.all)) {
		return nil
	}
	c := &l.cells.all[b.Cell]
	mine := uint32(c.pos) == b.Gen && c.out.Owner.Load() == shm.Owner(c.pos, uint32(w.slot)+1)
	if !mine || c.kind != shm.KindHTTP || !c.state.open() && c.state != cellDone {
		return nil
	}
	return c
}

// deliverFile gives the file to the connection, after the head. It returns true if nothing is left.
func (c *cell) deliverFile() bool {
	if c.file.state != outFileHere {
		return false
	}
	pos := c.pos
	for len(c.file.pieces) > 0 {
		if c.response.blocked {
			return false
		}
		p := &c.file.pieces[0]
		last := len(c.file.pieces) == 1
		if len(p.text) > 0 {
			n := c.x.Output(p.text, nil, last && p.n == 0)
			if c.pos != pos || c.x == nil {
				return false // cancelled within the call
			}
			c.response.blocked = n < len(p.text)
			p.text = p.text[n:]
			continue
		}
		offset, n := p.offset, p.n
		c.file.pieces = c.file.pieces[1:]
		if n > 0 {
			c.file.file.uses++
			c.x.(backend.FileSender).OutputFile(c.file.file, offset, n, last)
			if c.pos != pos || c.x == nil {
				return false
			}
		}
	}
	c.file.drop()
	c.response.inFile = false
	return true
}

// joinFile gives the connection the rest of the head together with the first range of the file, if that comes next: the head would be
// a packet of its own otherwise. taken is how much of the head the connection has taken; it has the range if that is all of it.
func (c *cell) joinFile(head []byte) (taken int, joined bool) {
	joiner, can := c.x.(backend.FileJoiner)
	if !can || len(c.file.pieces) == 0 || len(c.file.pieces[0].text) > 0 || c.file.pieces[0].n == 0 {
		return 0, false
	}
	pos, file, pieces := c.pos, c.file.file, c.file.pieces
	p := pieces[0]
	file.uses++
	c.file.pieces = pieces[1:]
	taken = joiner.OutputJoined(head, file, p.offset, p.n, len(pieces) == 1)
	if taken < len(head) {
		if c.pos == pos && c.x != nil { // not cancelled within the call
			c.file.pieces = pieces
		}
		file.Release()
	}
	return taken, true
}

// hasFile reports whether the file is here. If it cannot be sent, the exchange is answered otherwise.
func (c *cell) hasFile() bool {
	if c.file.state == outFileLost {
		c.noFile(503, "no descriptor for a file of a worker")
		return false
	}
	if _, can := c.x.(backend.FileSender); !can {
		c.noFile(500, "a connection that takes no files")
		return false
	}
	return c.file.state == outFileHere
}

// noFile answers an exchange whose file has not come.
func (c *cell) noFile(status int, cause string) {
	done := c.state == cellDone
	c.fail(status, retryAfter, cause)
	if done {
		c.l.release(c)
	}
}

// lacksFile finds out whether a file that was announced has not come for too long. true: the exchange is over.
func (c *cell) lacksFile(now int64) bool {
	if !c.response.inFile || c.file.state != outFileNone || c.x == nil {
		return false
	}
	switch {
	case c.file.since == 0:
		c.file.since = now
		return false
	case now-c.file.since < int64(takeSpan):
		return false
	case c.state == cellDone:
		c.l.p.log.Error("worker: a file that it has announced has not come", slog.Int("loop", c.l.index))
		c.noFile(502, "no file from the worker")
	default:
		c.violated("announces a file and does not send it")
	}
	return true
}

// controlReader reads a worker's control socket, with the descriptors that come.
type controlReader struct {
	conn   *net.UnixConn
	fds    []int // that have come since they were taken
	room   []byte
	excess func() // called when a message has more than one; none is kept then, nor later
	closed bool   // excess was called
}

func newControlReader(conn *net.UnixConn, excess func()) *controlReader {
	return &controlReader{conn: conn, excess: excess, room: make([]byte, unix.CmsgSpace(4*4))}
}

// Read implements io.Reader.
func (r *controlReader) Read(p []byte) (int, error) {
	n, k, _, _, err := r.conn.ReadMsgUnix(p, r.room)
	if k > 0 {
		r.keep(r.room[:k])
	}
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (r *controlReader) keep(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			r.fds = append(r.fds, fds...)
		}
	}
	if len(r.fds) > 1 && !r.closed {
		r.closed = true
		r.excess()
	}
	if r.closed {
		closeFiles(r.take())
	}
}

// take returns the descriptors that have come.
func (r *controlReader) take() (fds []int) {
	fds, r.fds = r.fds, nil
	return fds
}
