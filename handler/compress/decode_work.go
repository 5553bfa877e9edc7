package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"moonbridge/httpparse"
)

var (
	errStopped  = errors.New("the body is not wanted any more")
	errTooLarge = errors.New("decoded body too large")
	errMore     = errors.New("bytes after the end of the coded body")
)

// work decodes the body. It is the goroutine of a decoding: it uses only the fields that
// do not change, source and the channels.
func (b *decoding) work() {
	in := &counted{r: b.source}
	if b.file != nil {
		in.r = io.NewSectionReader(b.file, 0, b.file.Size())
	}
	err := b.decode(in)
	b.l.on.Post(func() { b.ended(err) })
}

// decode decodes all of in, and passes it on piece by piece. A library that panics must not end the server.
func (b *decoding) decode(in *counted) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	buffered := bufio.NewReaderSize(in, 4<<10)
	r, end, err := newReader(b.coding, buffered)
	if err != nil {
		return err
	}
	defer end()
	for total := int64(0); ; {
		piece := make([]byte, decodePiece)
		n, err := io.ReadFull(r, piece)
		total += int64(n)
		if total > b.l.d.bytes || total > decodeFree && total/decodeRatio > in.n {
			return errTooLarge
		}
		if n > 0 && !b.pass(piece[:n]) {
			return errStopped
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return b.atEnd(r, buffered)
		default:
			return err
		}
	}
}

// atEnd tells a body that ends from one that is cut off, which io.ReadFull does not, and from one that goes on.
func (b *decoding) atEnd(r io.Reader, rest *bufio.Reader) error {
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	if _, err := rest.ReadByte(); err != io.EOF {
		return errMore
	}
	return nil
}

// pass hands a piece to the loop and waits until it is taken. false: nothing more is wanted.
func (b *decoding) pass(piece []byte) bool {
	b.l.on.Post(func() {
		b.piece = piece
		b.deliver()
	})
	select {
	case <-b.taken:
		return true
	case <-b.stopped:
		return false
	}
}

// decodeWindow is the largest window that a zstd body may ask for: the one that RFC 9659 grants.
const decodeWindow = 8 << 20

// newReader returns a decoder of r. end frees it.
func newReader(c httpparse.Coding, r io.Reader) (d io.Reader, end func(), err error) {
	switch c {
	case httpparse.Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(decodeWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case httpparse.Brotli:
		return brotli.NewReader(r), func() {}, nil
	}
	g, err := gzip.NewReader(r)
	return g, func() {}, err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// source is the coded body on its way from the loop to the goroutine. It holds one piece at a time.
type source struct {
	mu    sync.Mutex
	some  sync.Cond
	piece []byte
	err   error  // after piece
	more  func() // called once when piece is used up; nil: nothing waits for that
}

func newSource() *source {
	s := new(source)
	s.some.L = &s.mu
	return s
}

// wants reports whether another piece may be put. If not, more is called when it may.
func (s *source) wants(more func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.piece) == 0 {
		return true
	}
	s.more = more
	return false
}

func (s *source) put(p []byte) {
	s.mu.Lock()
	s.piece = p
	s.mu.Unlock()
	s.some.Signal()
}

// close ends the body. Only the first call counts, except that errStopped also discards what is there.
func (s *source) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == errStopped {
		s.piece, s.err = nil, err
	} else if s.err == nil {
		s.err = err
	}
	s.some.Signal()
}

// Read implements io.Reader for the goroutine.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.piece) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.some.Wait()
	}
	n := copy(p, s.piece)
	s.piece = s.piece[n:]
	if len(s.piece) == 0 && s.more != nil {
		more := s.more
		s.more = nil
		more()
	}
	return n, nil
}
