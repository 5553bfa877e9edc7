package ratelimit

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// stub is the backend that is wrapped, its instance, a loop and an exchange, as far as they are needed.
type stub struct {
	backend.Loop
	backend.Exchange
	started int
	now     int64
	peer    netip.AddrPort
}

func (s *stub) Attach(backend.Loop) (backend.LoopBackend, error) { return s, nil }
func (s *stub) Now() int64                                       { return s.now }
func (s *stub) Addrs() (local, remote netip.AddrPort)            { return netip.AddrPort{}, s.peer }

func (s *stub) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	s.started++
	return nil, nil
}

func (s *stub) StartFile(backend.Exchange, *httpparse.Head, int, backend.File, []byte) (backend.Running, error) {
	s.started++
	return nil, nil
}

func TestLimiter(t *testing.T) {
	s := &stub{now: second, peer: netip.MustParseAddrPort("192.0.2.1:1234")}
	limiter, err := New(Options{Rate: 2, Burst: 3, Name: "ip"})
	if err != nil {
		t.Fatal(err)
	}
	part, err := limiter.Wrap(s).Attach(s)
	if err != nil {
		t.Fatal(err)
	}
	var head httpparse.Head
	start := func() error {
		_, err := part.Start(s, &head, 0, nil, false)
		return err
	}
	for range 2 {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := part.(backend.FileBackend).StartFile(s, &head, 0, nil, nil); err != nil {
		t.Fatal(err)
	}
	var many *backend.TooMany
	if err := start(); !errors.As(err, &many) || many.RetryAfter != 500*time.Millisecond {
		t.Fatalf("%v", err)
	}
	want := "RateLimit-Policy: \"ip\";q=3;w=2\r\nRateLimit: \"ip\";r=0;t=1\r\n"
	if got := string(many.Fields); got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	if s.started != 3 {
		t.Errorf("%d started", s.started)
	}
	if n := testing.AllocsPerRun(100, func() { start() }); n > 4 { // strings for fmt, whose buffers the race detector drops at random; one that is taken costs none
		t.Errorf("%v allocations of a refusal", n)
	}
	head.Client = netip.MustParseAddr("192.0.2.2") // another client of the same proxy
	if err := start(); err != nil {
		t.Error(err)
	}
	head.Client, s.peer = netip.Addr{}, netip.AddrPort{} // a Unix socket
	for range 10 {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
}

// With Key, requests are counted by what it returns, whoever sends them.
func TestKey(t *testing.T) {
	s := &stub{now: second, peer: netip.MustParseAddrPort("192.0.2.1:1234")}
	limiter, err := New(Options{Rate: 1, Burst: 2, Name: "key", Key: func(_ backend.Exchange, h *httpparse.Head) []byte {
		return h.Bytes(h.Path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	part, err := limiter.Wrap(s).Attach(s)
	if err != nil {
		t.Fatal(err)
	}
	request := func(path string) bool {
		head := httpparse.Head{Raw: []byte(path), Path: httpparse.Span{Len: uint32(len(path))}}
		s.peer = netip.AddrPortFrom(s.peer.Addr().Next(), 1)
		_, err := part.Start(s, &head, 0, nil, false)
		return err == nil
	}
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		path  string
		taken bool
	}{
		{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"a", false}, {"b", true}, {"b", false},
		{long + "1", true}, {long + "1", true}, {long + "1", false}, {long + "2", true},
		{"", true}, {"", true}, {"", true}, // not limited
	} {
		if got := request(c.path); got != c.taken {
			t.Errorf("key of %d bytes: taken %v, want %v", len(c.path), got, c.taken)
		}
	}
	head := httpparse.Head{Raw: []byte(long), Path: httpparse.Span{Len: 1000}}
	if n := testing.AllocsPerRun(100, func() { s.now += second; part.Start(s, &head, 0, nil, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimiterOptions(t *testing.T) {
	for _, o := range []Options{{Burst: 1}, {Rate: -1, Burst: 1}, {Rate: 1}, {Rate: 1e10, Burst: 1}, {Rate: 1e-9, Burst: 1e6}} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
