package compress

import (
	"math"

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
	inner, err := b.inner.Attach(on)
	if err != nil {
		return nil, err
	}
	l := &loop{b: b, on: on, inner: inner}
	if files, ok := inner.(backend.FileBackend); ok {
		return &fileLoop{loop: l, files: files}, nil
	}
	return l, nil
}

// loop is the part of a Backend on one loop.
type loop struct {
	// Immutable.
	b     *Backend
	on    backend.Loop
	inner backend.LoopBackend

	head    httpparse.ResponseHead // of the response that is being looked at
	text    []byte                 // for a head that is being written
	turn    int64                  // the turn that spent is about
	spent   int                    // bytes encoded on the loop in that turn
	buffers [][]byte               // free ones
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := l.newExchange(x, h)
	r, err := l.inner.Start(e.outward(), h, listener, body, more)
	return e.started(r, err)
}

// Overlap implements backend.Overlapping.
func (l *loop) Overlap() int {
	if o, ok := l.inner.(backend.Overlapping); ok {
		return o.Overlap()
	}
	return math.MaxInt
}

// Pressed implements backend.Pressable.
func (l *loop) Pressed() bool { return pressed(l.inner) }

// pressed is what a backend says that is Pressable, and what is taken for granted of others.
func pressed(b backend.LoopBackend) bool {
	p, ok := b.(backend.Pressable)
	return !ok || p.Pressed()
}

// fileLoop is a loop whose inner backend takes request bodies in files.
type fileLoop struct {
	*loop
	files backend.FileBackend
}

// StartFile implements backend.FileBackend.
func (l *fileLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	e := l.newExchange(x, h)
	r, err := l.files.StartFile(e.outward(), h, listener, body, trailer)
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
