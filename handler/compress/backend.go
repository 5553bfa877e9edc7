package compress

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Backend compresses the responses of another backend.
type Backend struct {
	inner  backend.Backend
	rules  *rules
	shared *Shared
}

// New returns a Backend for the responses of inner. The error is that of Options.Check.
func New(inner backend.Backend, o Options, s *Shared) (*Backend, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &Backend{inner: inner, rules: o.rules(), shared: s}, nil
}

// Attach implements backend.Backend. It attaches the inner backend.
func (b *Backend) Attach(on backend.Loop) (backend.LoopBackend, error) {
	inner, err := backend.AttachWrapped(b.inner, on)
	if err != nil {
		return nil, err
	}
	l := &loop{Wrapped: inner, b: b, on: on}
	if inner.Files != nil {
		return &fileLoop{l}, nil
	}
	return l, nil
}

// loop is the part of a Backend on one loop.
type loop struct {
	// Immutable.
	backend.Wrapped
	b  *Backend
	on backend.Loop

	head    httpparse.ResponseHead // of the response that is being looked at
	text    []byte                 // for a head that is being written
	turn    int64                  // the turn that spent is about
	spent   int                    // bytes encoded on the loop in that turn
	buffers [][]byte               // free ones
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := l.newExchange(x, h)
	r, err := l.Next.Start(e.outward(), h, listener, body, more)
	return e.started(r, err)
}

// fileLoop is a loop whose inner backend takes request bodies in files.
type fileLoop struct{ *loop }

// StartFile implements backend.FileBackend.
func (l *fileLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	e := l.newExchange(x, h)
	r, err := l.Files.StartFile(e.outward(), h, listener, body, trailer)
	return e.started(r, err)
}

const (
	// bufferBytes is the size of a buffer: of what an out-window holds.
	bufferBytes = 64 << 10
	// buffersFree is how many buffers a loop keeps for later.
	buffersFree = 32
	// turnBytes is how much is encoded on the loop in one turn. Other connections wait meanwhile.
	turnBytes = 32 << 10
)

func (l *loop) buffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b
	}
	return make([]byte, 0, bufferBytes)
}

// giveBuffer keeps a buffer for later, unless it has grown, or is nil.
func (l *loop) giveBuffer(b []byte) {
	if c := cap(b); c >= bufferBytes && c <= 2*bufferBytes && len(l.buffers) < buffersFree {
		l.buffers = append(l.buffers, b[:0])
	}
}

// mayEncode reports whether n more bytes may be encoded on the loop in this turn, and counts them if so.
func (l *loop) mayEncode(c httpparse.Coding, n int) bool {
	if now := l.on.Now(); now != l.turn {
		l.turn, l.spent = now, 0
	}
	if c == httpparse.Brotli {
		n *= 4 // it takes that much longer
	}
	if n > 4*loopBytes(httpparse.Brotli) || l.spent+n > turnBytes {
		return false
	}
	l.spent += n
	return true
}

func (l *loop) newExchange(x backend.Exchange, h *httpparse.Head) *exchange {
	e := &exchange{l: l, x: x}
	e.asked.of(h)
	return e
}
