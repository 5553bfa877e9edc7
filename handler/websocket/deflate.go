package websocket

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflater compresses and decompresses messages (RFC 7692 §7.2). Encoders and decoders are taken from pools, for one message each; what
// a connection keeps between messages is a window.
type deflater struct {
	o       *Compression
	writers sync.Pool // of *encoder
	readers sync.Pool // of *decoder
}

func newDeflater(o *Compression) *deflater { return &deflater{o: o} }

// min is the smallest message that is compressed.
func (d *deflater) min() int { return cmp.Or(d.o.Min, compressMin) }

// window is what is known of the last bytes in one direction, at most 1 << bits.
type window struct {
	bits uint8 // 0: nothing is kept
	last []byte
}

// add appends p.
func (w *window) add(p []byte) {
	if w.bits == 0 {
		return
	}
	size := 1 << w.bits
	if len(p) >= size {
		w.last = append(w.last[:0], p[len(p)-size:]...)
		return
	}
	if over := len(w.last) + len(p) - size; over > 0 {
		w.last = w.last[:copy(w.last, w.last[over:])]
	}
	w.last = append(w.last, p...)
}

// tail are the last n bytes at most.
func (w *window) tail(n int) []byte { return w.last[max(0, len(w.last)-n):] }

// sink is an io.Writer into a slice.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

type encoder struct {
	w   *flate.Writer
	out sink
}

// syncMarker ends what an encoder flushes. It is not sent (RFC 7692 §7.2.1).
const syncMarker = "\x00\x00\xff\xff"

// piece is how much of a message is compressed at a time, so that references reach back no further than a window of this size.
func piece(bits uint8) int {
	if bits < windowBitsMax {
		return 1 << bits / 2
	}
	return compressMax
}

// piecesMax bounds what a client with a small window can cost: each piece needs the time of a new encoder.
const piecesMax = 64

// compressMax is the largest message that is compressed.
func (p *deflateParams) compressMax() int { return min(compressMax, piecesMax*piece(p.serverBits)) }

// compress appends the compressed form of p to out. bits limit how far a reference may reach back; w is the window.
func (d *deflater) compress(out, p []byte, bits uint8, w *window) []byte {
	e, _ := d.writers.Get().(*encoder)
	if e == nil {
		e = new(encoder)
		e.w, _ = flate.NewWriter(&e.out, d.o.level()) // the level is valid
	}
	e.out.b = out
	// The encoder refers to anything that it knows of, up to 32 KiB back. For a smaller window it is told no more than that.
	size := piece(bits)
	for first := true; first || len(p) > 0; first = false {
		e.w.ResetDict(&e.out, w.tail(min(size, 1<<windowBitsMax)))
		n := min(size, len(p))
		e.w.Write(p[:n]) // a sink has no error
		e.w.Flush()
		w.add(p[:n])
		p = p[n:]
	}
	out, e.out.b = e.out.b, nil
	e.w.ResetDict(nil, nil)
	d.writers.Put(e)
	return out[:len(out)-len(syncMarker)]
}

var (
	// errInflated: a message is larger than allowed when it is decompressed.
	errInflated = errors.New("websocket: message too large")
	errFinals   = errors.New("websocket: too many final blocks in a message")
)

type decoder struct {
	r  io.Reader
	in source
}

// source is a compressed message, with what ends it: the sync marker that the sender has left out, and a final empty block, so that
// the decoder reports the end.
type source struct {
	b    []byte
	tail string
}

const messageTail = syncMarker + "\x01\x00\x00\xff\xff"

func (s *source) ReadByte() (byte, error) {
	switch {
	case len(s.b) > 0:
		c := s.b[0]
		s.b = s.b[1:]
		return c, nil
	case s.tail != "":
		c := s.tail[0]
		s.tail = s.tail[1:]
		return c, nil
	}
	return 0, io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.b)
	s.b = s.b[n:]
	if n == 0 {
		n = copy(p, s.tail)
		s.tail = s.tail[n:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// inflate appends the decompressed form of p to out, of at most most bytes. w is the window.
func (d *deflater) inflate(out, p []byte, most int, w *window) ([]byte, error) {
	r, _ := d.readers.Get().(*decoder)
	if r == nil {
		r = new(decoder)
		r.r = flate.NewReader(&r.in)
	}
	r.in = source{p, messageTail}
	out, err := r.all(out, most, w)
	r.in = source{}
	d.readers.Put(r)
	return out, err
}

// finalsMax is how many blocks of a message may be final. Each costs the time of a new decoder.
const finalsMax = 16

// all reads all blocks of a message. A sender may make a block the final one, and go on after it (RFC 7692 §7.2.3.4).
func (r *decoder) all(out []byte, most int, w *window) ([]byte, error) {
	for range finalsMax {
		before := len(out)
		r.r.(flate.Resetter).Reset(&r.in, w.last)
		var err error
		if out, err = r.read(out, most); err != nil {
			return out, err
		}
		w.add(out[before:])
		if len(r.in.b) == 0 && (r.in.tail == "" || r.in.tail == messageTail) {
			return out, nil
		}
	}
	return out, errFinals
}

// read reads to the end of a final block.
func (r *decoder) read(out []byte, most int) ([]byte, error) {
	for {
		if len(out) == cap(out) {
			out = slices.Grow(out, max(512, min(len(out), most-len(out)+1)))
		}
		n, err := r.r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > most:
			return out, errInflated
		case err == io.EOF:
			return out, nil
		case err != nil:
			return out, err
		}
	}
}
