package compress

import (
	"io"
	"math"
	"slices"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Decoder is a backend that decodes the request bodies of another one (RFC 9110 §8.4). The inner backend gets a body of
// unknown length, and no Content-Encoding. The work is done on a goroutine for each body, which begins when the handler reads
// it: a handler that waits for its turn costs nothing.
type Decoder struct {
	inner backend.Backend
	bytes int64
}

const (
	// decodeRatio bounds how much larger than its coded form a body may be, beyond decodeFree bytes. Text gets about ten times
	// smaller, logs perhaps fifty times. What exceeds this was made to cost time.
	decodeRatio = 200
	decodeFree  = 1 << 20
	// decodePiece is how much is decoded before the handler has to take it.
	decodePiece = 32 << 10
)

// NewDecoder returns a Decoder. bytes bounds the size of a decoded body; a negative number is no bound.
func NewDecoder(inner backend.Backend, bytes int64) *Decoder {
	if bytes < 0 {
		bytes = math.MaxInt64
	}
	return &Decoder{inner, bytes}
}

// Attach implements backend.Backend. It attaches the inner backend.
func (d *Decoder) Attach(on backend.Loop) (backend.LoopBackend, error) {
	inner, err := backend.AttachWrapped(d.inner, on)
	if err != nil {
		return nil, err
	}
	l := &decodeLoop{Wrapped: inner, d: d, on: on}
	if inner.Files != nil {
		return &decodeFileLoop{l}, nil
	}
	return l, nil
}

// decodeLoop is the part of a Decoder on one loop.
type decodeLoop struct {
	backend.Wrapped
	d    *Decoder
	on   backend.Loop
	head httpparse.Head // for the inner backend
}

// Start implements backend.LoopBackend.
func (l *decodeLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	coding, ok := codingOf(h)
	if !ok {
		return l.Next.Start(x, h, listener, body, more)
	}
	b := newDecoding(l, x, coding, h.ExpectContinue)
	b.source.put(slices.Clone(body))
	if b.received = !more; !more {
		b.source.close(io.EOF)
	}
	return b.start(h, listener)
}

// codingOf returns the coding of the request's body. false: there is nothing to decode.
func codingOf(h *httpparse.Head) (httpparse.Coding, bool) {
	if h.ContentLength == 0 {
		return httpparse.Identity, false
	}
	c, ok := h.ContentCoding()
	return c, ok && c != httpparse.Identity
}

// decodeFileLoop is a decodeLoop whose inner backend takes request bodies in files.
type decodeFileLoop struct{ *decodeLoop }

// StartFile implements backend.FileBackend. The decoded body does not go to a file: it is decoded as fast as the handler reads
// it.
func (l *decodeFileLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	coding, ok := codingOf(h)
	if !ok {
		return l.Files.StartFile(x, h, listener, body, trailer)
	}
	b := newDecoding(l.decodeLoop, x, coding, h.ExpectContinue)
	b.file, b.received = body, true
	b.trailer = slices.Clone(trailer)
	r, err := b.start(h, listener)
	if err != nil {
		b.file = nil // it still belongs to the engine
	}
	return r, err
}

// start starts the exchange of the inner backend, whose body follows.
func (b *decoding) start(h *httpparse.Head, listener int) (backend.Running, error) {
	l := b.l
	fields := append(l.head.Fields[:0], h.Fields...)
	l.head = *h
	l.head.Fields = slices.DeleteFunc(fields, func(f httpparse.Field) bool {
		return httpparse.EqualFold(h.Name(f), "content-encoding") || frames(h.Name(f))
	})
	l.head.Chunked, l.head.ContentLength = true, httpparse.LengthUnknown
	l.head.ExpectContinue = true // the inner backend is to say when the body is wanted
	r, err := l.Next.Start(b.outward(), &l.head, listener, nil, true)
	if err != nil {
		return nil, err
	}
	b.r = r
	return (*decodingRunning)(b), nil
}

// decoding is an exchange whose request body is decoded.
type decoding struct {
	backend.Exchange // of the connection
	l                *decodeLoop
	r                backend.Running // of the inner backend
	coding           httpparse.Coding
	expect           bool // the client waits for 100 (Continue)
	received         bool // the whole coded body is here

	source  *source
	file    backend.File // instead of source; nil: none
	room    []byte       // that the connection puts bytes of the body into
	trailer []byte

	begun   bool          // the goroutine was started
	over    bool          // nothing more is decoded
	piece   []byte        // decoded, and not taken by the inner backend yet
	taken   chan struct{} // has room for one: the goroutine may go on
	stopped chan struct{} // closed: it has to end
}

func newDecoding(l *decodeLoop, x backend.Exchange, c httpparse.Coding, expect bool) *decoding {
	return &decoding{Exchange: x, l: l, coding: c, expect: expect, source: newSource(),
		taken: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// outward is what the inner backend gets.
func (b *decoding) outward() backend.Exchange {
	if files, ok := b.Exchange.(backend.FileSender); ok {
		return decodingFiles{b, files}
	}
	return b
}

// decodingFiles is a decoding whose connection sends ranges of files.
type decodingFiles struct {
	*decoding
	backend.FileSender
}

// TakesFiles implements backend.FileChooser.
func (b decodingFiles) TakesFiles(rangeable bool) bool {
	return backend.TakesFiles(b.Exchange, rangeable)
}

// BodyReceived implements backend.BodyReceiver.
func (b *decoding) BodyReceived() bool { return b.received }

// TLS implements backend.Secured.
func (b *decoding) TLS() *backend.TLSState { return backend.TLSOf(b.Exchange) }

// ConnValue implements backend.ConnKeeper.
func (b *decoding) ConnValue() any { return backend.ConnValueOf(b.Exchange) }

// SetConnValue implements backend.ConnKeeper.
func (b *decoding) SetConnValue(v any) { backend.SetConnValueOf(b.Exchange, v) }

// BodyWanted implements backend.Exchange: the handler reads the body. Decoding begins.
func (b *decoding) BodyWanted() {
	if b.begun || b.over {
		return
	}
	b.begun = true
	if b.expect {
		b.Exchange.BodyWanted()
	}
	go b.work()
}

// BodyRoom implements backend.Exchange: the inner backend has room again.
func (b *decoding) BodyRoom() { b.deliver() }

// Done implements backend.Exchange.
func (b *decoding) Done(end backend.End) {
	b.stop()
	b.Exchange.Done(end)
}

// Failed implements backend.Exchange.
func (b *decoding) Failed(status int, retryAfter time.Duration) {
	b.stop()
	b.Exchange.Failed(status, retryAfter)
}

// Refused implements backend.Refuser.
func (b *decoding) Refused(err error) {
	b.stop()
	backend.Refuse(b.Exchange, err)
}

// Complete implements backend.Exchange.
func (b *decoding) Complete(_ backend.Running, end backend.End) {
	b.stop()
	b.Exchange.Complete((*decodingRunning)(b), end)
}

// Left implements backend.Exchange.
func (b *decoding) Left(backend.Running) { b.Exchange.Left((*decodingRunning)(b)) }

// stop ends the decoding.
func (b *decoding) stop() {
	if b.over {
		return
	}
	b.over = true
	b.source.close(errStopped)
	close(b.stopped)
	b.piece = nil
	if !b.begun {
		b.closeFile() // otherwise the goroutine may be reading it
	}
}

func (b *decoding) closeFile() {
	if b.file != nil {
		b.file.Close()
	}
}

// deliver moves decoded bytes to the inner backend.
func (b *decoding) deliver() {
	if len(b.piece) == 0 || b.over {
		return
	}
	for len(b.piece) > 0 {
		x, y := b.r.BodyRoom()
		if len(x) == 0 {
			return
		}
		n := copy(x, b.piece)
		n += copy(y, b.piece[n:])
		b.piece = b.piece[n:]
		b.r.BodyCommit(n)
		if b.over {
			return
		}
	}
	b.taken <- struct{}{}
}

// ended is called on the loop when the goroutine has come to the end of the body. err is nil if the body was valid.
func (b *decoding) ended(err error) {
	b.closeFile()
	if b.over {
		return
	}
	b.over = true
	if err != nil {
		b.r.BodyAbort(err == errTooLarge)
		return
	}
	if t, ok := b.r.(backend.Trailered); ok && len(b.trailer) > 0 {
		t.BodyTrailer(b.trailer)
	}
	b.r.BodyEnd()
}
