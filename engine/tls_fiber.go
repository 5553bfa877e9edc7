package engine

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"iter"
	"time"

	"moonbridge/handler/list"
)

// Handshakes on the loop. A goroutine that computes a handshake has to be woken twice, and has to wake the loop three times. Where loops
// have a thread each (Options.Batch), that costs more than half of what is not cryptography. There, the loop computes the
// handshakes that nothing can hold up itself. crypto/tls cannot be interrupted where it reads, but a coroutine can.
//
// A loop begins one handshake at a time, and looks for events after each: what others wait for is at most two of them. Those that go on
// because their peers have answered do so at once, as far as that takes little; the rest waits for its turn like the others. When
// handshakes turn out to take long (large keys), goroutines compute them as everywhere else.

// fiber is a coroutine that computes handshakes on a loop, one after the other: so its stack has to grow only once. It belongs to the
// loop, and to its thread.
type fiber struct {
	resume func() (struct{}, bool)
	end    func()
	pause  func(struct{}) bool
	h      *handshake // in progress
}

const (
	// fibersKept is how many are kept that have nothing to do.
	fibersKept = 16
	// briefMaxUS is how long handshakes may take on average for loops to compute them.
	briefMaxUS = 500
	// briefOutlierUS bounds what a single one counts: its thread may have had to wait for a processor.
	briefOutlierUS = 1000
	// briefRetry is how many handshakes are left to goroutines then before the loop tries one again.
	briefRetry = 64
	// goOnMaxUS is how long a loop computes handshakes that go on before other events have their turn. With TLS 1.3 the end of one takes
	// some 30 µs; with TLS 1.2 and a large curve, milliseconds, and a client with many connections can have them all go on at once.
	goOnMaxUS = 1000
)

func newFiber() *fiber {
	f := new(fiber)
	f.resume, f.end = iter.Pull(f.run)
	return f
}

// run is the coroutine.
func (f *fiber) run(pause func(struct{}) bool) {
	f.pause = pause
	for ok := true; ok; ok = pause(struct{}{}) {
		f.h.compute()
	}
}

// brief decides whether the loop computes handshakes itself. It belongs to one listener on one loop.
type brief struct {
	able    bool          // nothing in the configuration may wait
	average time.Duration // that one takes
	left    int           // to goroutines before the next try
}

// mayWait reports whether a handshake with this configuration may call functions that the engine does not know, or check certificates of
// clients.
func mayWait(c *tls.Config) bool {
	if c.GetCertificate != nil || c.GetConfigForClient != nil || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil ||
		c.WrapSession != nil || c.UnwrapSession != nil || c.GetEncryptedClientHelloKeys != nil ||
		c.Rand != nil || c.Time != nil || c.KeyLogWriter != nil || c.ClientAuth != tls.NoClientCert {
		return true
	}
	for i := range c.Certificates {
		if !inMemory(c.Certificates[i].PrivateKey) {
			return true
		}
	}
	return false
}

// inMemory reports whether a key is one of the standard library, and not in a module that has to be asked.
func inMemory(key crypto.PrivateKey) bool {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return true
	}
	return false
}

// onLoop decides about one handshake.
func (b *brief) onLoop() bool {
	if !b.able {
		return false
	}
	if b.average <= briefMaxUS*time.Microsecond {
		return true
	}
	if b.left--; b.left < 0 {
		b.left = briefRetry
		return true
	}
	return false
}

// took notes how long one took.
func (b *brief) took(d time.Duration) {
	b.average += (min(d, briefOutlierUS*time.Microsecond) - b.average) / 16
}

// newDue returns an empty list of those that a loop has to compute.
func newDue() list.List[handshake] {
	return list.New(func(h *handshake) *list.Links[handshake] { return &h.dueLinks })
}

// computeSoon makes the loop compute a handshake when it is its turn.
func (l *tlsLoop) computeSoon(h *handshake) {
	if h.due {
		return
	}
	h.due = true
	l.due.PushBack(h)
	if l.due.Len() == 1 {
		l.plain.soon(l.computeDue)
	}
}

// computeNext begins, or goes on with, the handshake that waits longest.
func (l *tlsLoop) computeNext() {
	h := l.due.First()
	l.due.Remove(h)
	h.due = false
	if l.due.Len() > 0 {
		l.plain.soon(l.computeDue)
	}
	switch {
	case h.fiber != nil:
		h.step()
	case h.computed: // it was closed meanwhile
	case h.state != handshakeRunning:
		h.all.ended() // likewise, before it has begun
	default:
		h.fiber = l.takeFiber()
		h.fiber.h = h
		h.step()
	}
}

// goOn goes on with a handshake that has begun, now or soon.
func (l *tlsLoop) goOn(h *handshake) {
	if now := l.plain.nowMS(); now != l.goingMS {
		l.goingMS, l.going = now, 0
	}
	if l.going > goOnMaxUS*time.Microsecond {
		l.computeSoon(h)
		return
	}
	h.step()
}

func (l *tlsLoop) takeFiber() *fiber {
	n := len(l.fibers) - 1
	if n < 0 {
		return newFiber()
	}
	f := l.fibers[n]
	l.fibers[n] = nil
	l.fibers = l.fibers[:n]
	return f
}

func (l *tlsLoop) keepFiber(f *fiber) {
	f.h = nil
	if len(l.fibers) < fibersKept && !l.over {
		l.fibers = append(l.fibers, f)
	} else {
		f.end()
	}
}

// endFibers ends those that have nothing to do, and others when they have not.
func (l *tlsLoop) endFibers() {
	l.over = true
	for _, f := range l.fibers {
		f.end()
	}
	l.fibers = nil
}

// step computes until the handshake is over or needs more bytes.
func (h *handshake) step() {
	f, began := h.fiber, time.Now()
	f.resume()
	took := time.Since(began)
	h.spent += took
	h.l.going += took
	if !h.computed {
		return
	}
	h.b.brief.took(h.spent)
	h.fiber = nil
	h.l.keepFiber(f)
	h.all.ended()
	h.done(h.conn, h.err)
}

// compute is the handshake, on a fiber.
func (h *handshake) compute() {
	h.conn = tls.Server(h.c, h.setup.Config)
	h.err = h.conn.Handshake()
	h.computed = true
}

// awaitInput is called on a fiber.
func (f *fiber) awaitInput() { f.pause(struct{}{}) }
