package ratelimit

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Options of a Limiter.
type Options struct {
	Rate  float64 // requests per second, more than 0
	Burst int     // requests at once, at least 1
	Name  string  // of the limit, in the fields of the response: letters, digits and hyphens. Default "default"

	// Client returns whom a request is counted for. An address that is not valid is not limited. Default: the client
	// that trusted proxies name (httpparse.Head.Client), otherwise the peer.
	Client func(x backend.Exchange, h *httpparse.Head) netip.Addr

	// Key, if it is not nil, returns what requests are counted by instead: a field, a cookie, a path, or an address and one of
	// these. It may be of any length, and a view: it is not kept. Requests with an empty key are not limited. The table has the same
	// bound for keys, and a client that can make up a key has as many requests as it wants: use what it has to prove.
	// It is called on the loop.
	Key func(x backend.Exchange, h *httpparse.Head) []byte

	// Table is what has been counted already, by a Limiter with the same rate. Default: a new one.
	Table *Table
}

// Limiter limits the rate of requests to backends.
type Limiter struct {
	o          Options
	each, most int64 // nanoseconds
}

// New returns a Limiter.
func New(o Options) (*Limiter, error) {
	each, most, err := intervals(o.Rate, o.Burst)
	if err != nil {
		return nil, err
	}
	o.Name = cmp.Or(o.Name, "default")
	if o.Client == nil {
		o.Client = addrOf
	}
	if o.Table == nil {
		o.Table = NewTable()
	}
	return &Limiter{o: o, each: each, most: most}, nil
}

// intervals are the times that one request, and a burst of them, take to be paid for, in nanoseconds.
func intervals(rate float64, burst int) (each, most int64, err error) {
	f := float64(time.Second) / rate
	if !(rate > 0) || burst < 1 || f < 1 || f*float64(burst) > math.MaxInt64/4 {
		return 0, 0, fmt.Errorf("%v per second, %d at once: out of range: Rate has to be above 0, Burst at least 1, and the time for a burst less than 73 years", rate, burst)
	}
	return int64(f), int64(f) * int64(burst), nil
}

// Table is what has been counted.
func (l *Limiter) Table() *Table { return l.o.Table }

// addrOf is the default of Options.Client.
func addrOf(x backend.Exchange, h *httpparse.Head) netip.Addr {
	if h.Client.IsValid() {
		return h.Client
	}
	_, remote := x.Addrs()
	return remote.Addr()
}

// Wrap returns a backend that passes requests within the rate on to next. Requests to all backends of a Limiter are counted
// together.
func (l *Limiter) Wrap(next backend.Backend) backend.Backend { return &wrapped{l, next} }

type wrapped struct {
	limiter *Limiter
	next    backend.Backend
}

// Attach implements backend.Backend. It attaches the wrapped backend.
func (w *wrapped) Attach(on backend.Loop) (backend.LoopBackend, error) {
	next, err := backend.AttachWrapped(w.next, on)
	if err != nil {
		return nil, err
	}
	l := &loop{Wrapped: next, limiter: w.limiter, on: on}
	if next.Files != nil {
		return &fileLoop{l}, nil
	}
	return l, nil
}

// loop is the part of a wrapped backend on one loop.
type loop struct {
	backend.Wrapped
	limiter *Limiter
	on      backend.Loop

	refusal backend.TooMany // the last one: the caller looks at it before the next one is made
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if err := l.admit(x, h); err != nil {
		return nil, err
	}
	return l.Next.Start(x, h, listener, body, more)
}

// admit counts a request, or returns why it is refused.
func (l *loop) admit(x backend.Exchange, h *httpparse.Head) error {
	client, limited := l.limiter.clientOf(x, h)
	if !limited {
		return nil
	}
	wait := l.limiter.o.Table.take(client, l.on.Now(), l.limiter.each, l.limiter.most)
	if wait == 0 {
		return nil
	}
	l.refusal = l.limiter.refusal(wait, l.refusal.Fields[:0])
	return &l.refusal
}

// clientOf is whom a request is counted for.
func (l *Limiter) clientOf(x backend.Exchange, h *httpparse.Head) (c client, limited bool) {
	if l.o.Key != nil {
		key := l.o.Key(x, h)
		return l.o.Table.keyed(key), len(key) > 0
	}
	a := l.o.Client(x, h)
	return addressed(a), a.IsValid()
}

// refusal says how long a client has to wait, with the fields of draft-ietf-httpapi-ratelimit-headers: the quota and its
// window, and when there is something left of it again.
func (l *Limiter) refusal(wait int64, room []byte) backend.TooMany {
	window := (l.most + int64(time.Second) - 1) / int64(time.Second)
	seconds := (wait + int64(time.Second) - 1) / int64(time.Second)
	return backend.TooMany{
		RetryAfter: time.Duration(wait),
		Fields: fmt.Appendf(room, "RateLimit-Policy: %q;q=%d;w=%d\r\nRateLimit: %q;r=0;t=%d\r\n",
			l.o.Name, l.o.Burst, window, l.o.Name, seconds),
	}
}

// fileLoop is a loop whose backend takes request bodies in files.
type fileLoop struct{ *loop }

// StartFile implements backend.FileBackend.
func (l *fileLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	if err := l.admit(x, h); err != nil {
		return nil, err
	}
	return l.Files.StartFile(x, h, listener, body, trailer)
}
