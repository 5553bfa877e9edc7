package engine

import (
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/httpparse"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// crowd is many connections on a loop without a reactor. It counts what they ask of the system. The clock stands still until
// the test moves it.
type crowd struct {
	benchBackend
	l       *loop
	conns   []*conn
	running []backend.Exchange // started and not answered
	request string             // what the next read of any connection returns
	nowMS   uint64
	wheel   *timers.Wheel

	reads, writes, timers, others int // calls
}

func newCrowd(t testing.TB, size int, log func(*Access)) *crowd {
	t.Helper()
	e := &Engine{log: slog.New(slog.DiscardHandler), connsMax: int64(size), accessLog: log, observed: log != nil, idPrefix: "prefix"}
	e.spool = newSpooling(Spool{Dir: t.TempDir()}, int64(size))
	e.tally = logging.NewTally(e.log)
	m := &crowd{wheel: timers.NewWheel(0)}
	m.l = makeLoop(e, 0, m.system())
	s := newService(m, 0, Limits{})
	s.addrs = &addrs{}
	for fd := range size {
		m.l.accept(s, fd, netip.AddrPort{}, 0)
	}
	t.Cleanup(func() {
		for _, c := range m.conns {
			c.close()
		}
		if n := m.l.pool.InUse(); n != 0 {
			t.Errorf("%d buffers are not given back", n)
		}
	})
	return m
}

func (m *crowd) system() system {
	write := func(a, b []byte) (int, syscall.Errno) { m.writes++; return len(a) + len(b), 0 }
	return system{
		read:           func(_ int, p []byte) (int, syscall.Errno) { m.reads++; return copy(p, m.request), 0 },
		write:          func(_ int, p []byte) (int, syscall.Errno) { return write(p, nil) },
		writev:         func(_ int, a, b []byte) (int, syscall.Errno) { return write(a, b) },
		shutdownWrite:  func(int) error { m.others++; return nil },
		unacknowledged: func(int) int64 { m.others++; return 0 },
		breakAfter:     func(int, uint64) { m.others++ },
		resetOnClose:   func(int) error { m.others++; return nil },
		add:            func(_ int, h reactor.Handler) error { m.conns = append(m.conns, h.(*conn)); return nil },
		close:          func(int) { m.others++ },
		post:           func(func()) bool { m.others++; return true },
		soon:           func(func()) { m.others++ },
		setTimer:       func(t *timers.Timer, at uint64) { m.timers++; m.wheel.Set(t, at) },
		cancelTimer:    m.wheel.Cancel,
		nowMS:          func() uint64 { return m.nowMS },
		wallClock:      func() time.Time { return startedAt },
	}
}

// Start implements backend.LoopBackend: the crowd is answered when all have asked.
func (m *crowd) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	m.running = append(m.running, x)
	return &m.benchBackend, nil
}

// round has each connection send a request, then answers all of them.
func (m *crowd) round(head, body []byte) {
	for _, c := range m.conns {
		c.Ready(reactor.Readable)
	}
	for _, x := range m.running {
		x.Output(head, body, true)
		x.Done(backend.EndKeep)
	}
	m.running = m.running[:0]
	m.nowMS++
	m.wheel.Advance(m.nowMS)
}

const (
	crowdHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
	crowdBody = "hello"
)

// TestCallsPerRequest bounds what a request asks of the system: one read and one write, and hardly anything else. This and the
// tests after it count, so they do not depend on how busy the machine is.
func TestCallsPerRequest(t *testing.T) {
	const conns, rounds = 64, 100
	for name, c := range map[string]struct {
		request string
		log     func(*Access)
	}{
		"hello":  {get("/hello"), nil},
		"logged": {get("/hello"), func(*Access) {}},
		"form":   {"POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000), nil},
	} {
		m := newCrowd(t, conns, c.log)
		m.request = c.request
		m.timers = 0
		for range rounds {
			m.round([]byte(crowdHead), []byte(crowdBody))
		}
		const n = conns * rounds
		if m.reads != n || m.writes != n {
			t.Errorf("%s: %d reads and %d writes for %d requests", name, m.reads, m.writes, n)
		}
		if m.timers > n/10 || m.others > 0 {
			t.Errorf("%s: %d timers set and %d other calls for %d requests", name, m.timers, m.others, n)
		}
	}
}

// TestIdleConnectionBytes bounds the memory of a connection that waits for its next request.
func TestIdleConnectionBytes(t *testing.T) {
	const conns, bound = 20_000, 500
	before := heapBytes()
	m := newCrowd(t, conns, nil)
	m.request = get("/hello")
	m.round([]byte(crowdHead), []byte(crowdBody))
	each := (heapBytes() - before) / conns
	t.Logf("%d bytes", each)
	if each > bound || each < 100 {
		t.Errorf("an idle connection has %d bytes, want at most %d", each, bound)
	}
	runtime.KeepAlive(m)
}

// heapBytes is what is in use on the heap after a collection.
func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one leaves what was in a sync.Pool
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
