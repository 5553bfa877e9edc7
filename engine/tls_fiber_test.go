package engine

import (
	"crypto"
	"crypto/tls"
	"math"
	"net"
	"runtime"
	"testing"
	"time"
)

// threadedTLS makes startTLS give loops a thread each, so that they compute handshakes.
var threadedTLS bool

// What is true of handshakes on goroutines is true of those on loops.
func TestTLSOnLoops(t *testing.T) {
	threadedTLS = true
	defer func() { threadedTLS = false }()
	for name, test := range map[string]func(*testing.T){
		"Versions": TestTLSVersions, "Resumption": TestTLSResumption, "ClientCertificate": TestTLSClientCertificate,
		"ByteByByte": TestTLSByteByByte, "LargeBodies": TestTLSLargeBodies, "Pipelining": TestTLSPipelining,
		"PlainRequest": TestTLSPlainRequest, "Garbage": TestTLSGarbage, "BreaksOff": TestTLSHandshakeBreaksOff,
		"HalfClose": TestTLSHalfClose, "BodyCut": TestTLSBodyCut, "Cork": TestTLSCorksTheLastResponse, "IdleMemory": TestTLSIdleMemory,
	} {
		t.Run(name, test)
	}
}

// waitingClient has sent its first message, has read the answer, and does not go on.
type waitingClient struct {
	net.Conn
	goOn chan struct{}
	sent int
}

func (c *waitingClient) Write(p []byte) (int, error) {
	if c.sent++; c.sent > 1 {
		<-c.goOn
	}
	return c.Conn.Write(p)
}

// startWaiting begins n handshakes, which end with done when goOn is closed.
func startWaiting(t *testing.T, addr string, n int, goOn chan struct{}) (done chan error) {
	t.Helper()
	done = make(chan error, n)
	for range n {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		c := tls.Client(&waitingClient{Conn: raw, goOn: goOn}, clientConfig())
		c.SetDeadline(time.Now().Add(waitMost))
		go func() { done <- c.Handshake() }()
	}
	return done
}

// fibersOf is how many fibers of an engine with one loop are at work, and how many are kept.
func fibersOf(t *testing.T, e *Engine) (busy, kept int) {
	t.Helper()
	onLoop(t, e.Loop(0), func() {
		if l := e.loops[0].tls; l != nil {
			kept = len(l.fibers)
			for h := range l.handshakes {
				if h.fiber != nil {
					busy++
				}
			}
		}
	})
	return busy, kept
}

// Handshakes that wait for their peers have a fiber each. Few are kept, and none when the engine ends.
func TestTLSFibers(t *testing.T) {
	const most = 2 * fibersKept
	e, addr := startTLS(t, Options{Loops: 1, Batch: true}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	goOn := make(chan struct{})
	done := startWaiting(t, addr, most, goOn)
	await(t, "all wait", func() bool { busy, _ := fibersOf(t, e); return busy == most })
	close(goOn)
	for range most {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	await(t, "handshakes end", func() bool { busy, kept := fibersOf(t, e); return busy == 0 && kept == fibersKept })
	l := e.loops[0]
	e.Shutdown(t.Context())
	if len(l.tls.fibers) != 0 {
		t.Errorf("%d fibers are left", len(l.tls.fibers))
	}
}

// Above the limit they wait, and begin on their loop when others end or are given up.
func TestTLSFibersAboveTheLimit(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1, Batch: true, Handshakes: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	goOn := make(chan struct{})
	first := startWaiting(t, addr, 1, goOn)
	await(t, "it runs", func() bool { busy, _ := fibersOf(t, e); return busy == 1 })
	second := startWaiting(t, addr, 1, goOn)
	await(t, "the other one waits", func() bool { running, waiting := e.Handshakes(); return running == 1 && waiting == 1 })
	close(goOn)
	for _, done := range []chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	await(t, "both end", func() bool { running, waiting := e.Handshakes(); return running+waiting == 0 })
}

// When many peers answer at once, handshakes go on a few at a time, and those that are closed meanwhile are not computed.
func TestTLSFibersGoOnInTurns(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1, Batch: true}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	goOn := make(chan struct{})
	done := startWaiting(t, addr, 4, goOn)
	await(t, "all wait", func() bool { busy, _ := fibersOf(t, e); return busy == 4 })
	onLoop(t, e.Loop(0), func() {
		l := e.loops[0].tls
		if l.going == 0 {
			t.Error("handshakes have taken no time")
		}
		l.goingMS, l.going = l.plain.nowMS(), time.Second
		var last *handshake
		for h := range l.handshakes {
			h.notify()
			h.notify()
			last = h
		}
		if n := l.due.Len(); n != 4 {
			t.Errorf("%d of 4 wait for their turn", n)
		}
		last.close()
		if last.fiber != nil || !last.computed {
			t.Error("one that was closed is not over")
		}
	})
	close(goOn)
	for range 4 {
		<-done
	}
	await(t, "the others are complete", func() bool { busy, kept := fibersOf(t, e); return busy == 0 && kept == 4 })
	if n := e.Conns(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

// A shutdown ends handshakes in the middle.
func TestTLSFibersAreCut(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1, Batch: true}, Limits{}, &testBackend{window: 64},
		&TLS{Config: serverConfig(), HandshakeTimeout: -1})
	goOn := make(chan struct{})
	startWaiting(t, addr, 3, goOn)
	defer close(goOn)
	await(t, "all wait", func() bool { busy, _ := fibersOf(t, e); return busy == 3 })
	onLoop(t, e.Loop(0), e.loops[0].resetAll)
	if busy, kept := fibersOf(t, e); busy+kept != 0 {
		t.Errorf("%d fibers are at work, %d kept", busy, kept)
	}
}

// Handshakes with functions of the program, and keys that are elsewhere, are left to goroutines.
func TestTLSMayWait(t *testing.T) {
	elsewhere := serverConfig()
	elsewhere.Certificates[0].PrivateKey = struct{ crypto.Signer }{}
	asking, clients, named := serverConfig(), serverConfig(), serverConfig()
	asking.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	named.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
	clients.ClientAuth = tls.RequestClientCert
	for name, config := range map[string]*tls.Config{"key": elsewhere, "certificate": asking, "config": named, "clients": clients} {
		if !mayWait(config) {
			t.Errorf("%s: on loops", name)
		}
	}
	if mayWait(serverConfig()) {
		t.Error("an ordinary configuration: not on loops")
	}
}

// Handshakes that take long are left to goroutines, except for one now and then. One that was held up by chance is not enough for that.
func TestTLSBrief(t *testing.T) {
	b := brief{able: true}
	b.took(time.Second)
	if !b.onLoop() {
		t.Error("one is enough")
	}
	for range 100 {
		b.took(time.Second)
	}
	tries := 0
	for range 10 * (briefRetry + 1) {
		if b.onLoop() {
			tries++
		}
	}
	if tries != 10 {
		t.Errorf("%d tries, want 10", tries)
	}
	for range 100 {
		b.took(briefMaxUS * time.Microsecond / 10)
	}
	if !b.onLoop() {
		t.Error("short ones again: not on the loop")
	}
	if (&brief{}).onLoop() {
		t.Error("not able, but on the loop")
	}
}

// The queue of a loop that always has another handshake to compute stays as small as it is.
func TestTLSFibersQueueStaysSmall(t *testing.T) {
	l := &tlsLoop{plain: &system{soon: func(func()) {}}, due: newDue()}
	h, next := &handshake{computed: true}, &handshake{computed: true}
	l.computeSoon(h)
	least := uint64(math.MaxUint64)
	for range 10 { // goroutines of other tests may allocate meanwhile
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100_000 {
			l.computeSoon(next)
			l.computeNext()
			h, next = next, h
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if least > 256<<10 {
		t.Errorf("%d bytes were allocated", least)
	}
}
