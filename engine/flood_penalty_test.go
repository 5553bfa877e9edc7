package engine

import (
	"bufio"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/forwarded"
	"moonbridge/handler/logging"
	"moonbridge/handler/proxyproto"
)

// floodsAt are floods with a clock of the test's own.
type floodsAt struct {
	floods
	t   *testing.T
	now int64
}

func (f *floodsAt) flood(from string, times int) (began int) {
	for range times {
		if f.flooded(netip.MustParseAddr(from), f.now) {
			began++
		}
	}
	return began
}

// admitted is how many of 50 connections at the same moment are.
func (f *floodsAt) admitted(from string) (n int) {
	for range 50 {
		if f.admits(netip.MustParseAddr(from), f.now) {
			n++
		}
	}
	return n
}

func (f *floodsAt) admitsOf50(from string, want int) {
	f.t.Helper()
	if n := f.admitted(from); n != want {
		f.t.Errorf("at %v: %d of 50 connections of %s, want %d", time.Duration(f.now), n, from, want)
	}
}

// Ten floods within ten seconds begin a penalty: ten connections a second, until ten seconds after the last flood.
func TestFloodPenalty(t *testing.T) {
	f := &floodsAt{t: t, now: int64(time.Second)}
	const a = "192.0.2.1"
	if f.flood(a, 9) != 0 {
		t.Error("nine floods are punished")
	}
	f.admitsOf50(a, 50)
	f.now += int64(floodWindow) + 1
	if f.flood(a, 9) != 0 {
		t.Error("old floods count")
	}
	f.now += int64(floodWindow)
	if f.flood(a, 1) != 1 {
		t.Error("ten floods are not punished")
	}
	f.admitsOf50(a, 10)
	f.admitsOf50("192.0.2.2", 50)
	if !f.admits(netip.Addr{}, f.now) {
		t.Error("a Unix socket is punished")
	}
	f.now += int64(250 * time.Millisecond)
	f.admitsOf50(a, 2)
	f.now += int64(floodPenalty-250*time.Millisecond) - 1
	f.admitsOf50(a, 10)
	if f.flood(a, 3) != 0 {
		t.Error("the penalty begins again")
	}
	f.now += int64(floodPenalty) - 1 // it was prolonged
	f.admitsOf50(a, 10)
	f.now++
	f.admitsOf50(a, 50)
	if f.flood(a, 9) != 0 || f.flood(a, 1) != 1 {
		t.Error("after a penalty, ten floods are another one")
	}
}

// An IPv6 address stands for its /64, and an IPv4 address for itself, whatever its form.
func TestFloodPenaltyGroups(t *testing.T) {
	f := &floodsAt{t: t, now: int64(time.Second)}
	f.flood("2001:db8:0:1::1", 5)
	f.flood("2001:db8:0:1:ffff::2", 5)
	f.flood("::ffff:192.0.2.1", 5)
	f.flood("192.0.2.1", 5)
	f.admitsOf50("2001:db8:0:1::3", 10)
	f.admitsOf50("2001:db8:0:2::1", 50)
	f.admitsOf50("192.0.2.1", 10)
	f.admitsOf50("192.0.2.3", 50)
}

// However many addresses flood a few times, those that are punished are not forgotten, and the table does not grow. When all of a set are
// punished, the one that has not flooded for the longest time makes room.
func TestFloodPenaltyTableFull(t *testing.T) {
	f := &floodsAt{t: t, now: int64(time.Second)}
	const a = "192.0.2.1"
	f.flood(a, 10)
	first := netip.MustParseAddr(a)
	from := groupOf(first)
	set := f.set(&from)
	r := rand.New(rand.NewPCG(1, 2))
	var same []netip.Addr
	for range 10 * floodSets * floodSetEntries {
		other := netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		for range floodsMost - 1 {
			if f.flooded(other, f.now) {
				t.Fatalf("%v is punished for the floods of others", other)
			}
		}
		if to := groupOf(other); f.set(&to) == set && len(same) < 2*floodSetEntries {
			same = append(same, other)
		}
	}
	f.admitsOf50(a, 10)
	for _, other := range same[:floodSetEntries-1] {
		f.now++
		f.flood(other.String(), 10)
	}
	f.admitsOf50(a, 0) // still the same ten
	f.flood(same[floodSetEntries].String(), 10)
	f.admitsOf50(a, 50)
	f.admitsOf50(same[0].String(), 10)
	f.admitsOf50(same[floodSetEntries].String(), 10)
}

// Loops that ask at the same time admit together what one would.
func TestFloodPenaltyTogether(t *testing.T) {
	f := &floodsAt{t: t, now: int64(time.Second)}
	var admitted, began atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { began.Add(int64(f.flood("192.0.2.1", 10))) })
	}
	all.Wait()
	for range 4 {
		all.Go(func() { admitted.Add(int64(f.admitted("192.0.2.1"))) })
	}
	all.Wait()
	if admitted.Load() != 10 || began.Load() != 1 {
		t.Errorf("%d admitted, %d penalties", admitted.Load(), began.Load())
	}
}

// Before there is a penalty, and after it, a new connection costs a load and a comparison.
func TestFloodPenaltyCost(t *testing.T) {
	f := &floodsAt{t: t, now: int64(time.Second)}
	f.flood("192.0.2.1", 10)
	f.now += int64(floodPenalty)
	f.mu.Lock() // nothing is looked up
	f.admitsOf50("192.0.2.1", 50)
	f.mu.Unlock()
}

// floodedFrom has an address flood connections as often as is punished, and uses up what it may open during the penalty.
func floodedFrom(t *testing.T, e *Engine, addr, from, preface string) {
	t.Helper()
	tarpits(e, 1)
	for range floodsMost {
		p := greetH2(t, connectFrom(t, addr, from, preface))
		p.flood(func(int) error { return p.WriteSettings() }, 20_000)
		p.Close()
	}
}

// connectFrom connects from an address, and sends what the connection begins with.
func connectFrom(t *testing.T, addr, from, preface string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(waitMost))
	if _, err := c.Write([]byte(preface)); err != nil {
		t.Fatal(err)
	}
	return c
}

// isServedFrom checks that the server answers a request on a new connection from an address.
func isServedFrom(t *testing.T, from, addr, preface string) {
	t.Helper()
	c := connectFrom(t, addr, from, preface)
	p := &peer{t, c.(stream), bufio.NewReader(c)}
	p.say(get("/hello"))
	p.hears(200)
}

// spent makes the penalty of an address last, and uses up what it may open. false: there is none.
func (e *Engine) spent(from string) bool {
	f := &e.floods
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sets == nil {
		return false
	}
	group := groupOf(netip.MustParseAddr(from))
	for i := range f.set(&group) {
		if p := &f.set(&group)[i]; p.from == group && p.until > 0 {
			p.until, p.paid = 1<<60, 1<<60
			f.until.Store(p.until)
			return true
		}
	}
	return false
}

// New connections of an address that floods are reset. Those that it has, and other addresses, are served.
func TestFloodPenaltyConnections(t *testing.T) {
	e, ln := limitedTo(t, nil, func(e *Engine, ln *Listener) error {
		return e.Serve(ln, &testBackend{window: 64}, 0, Limits{H2C: true})
	})
	kept := greetH2(t, connectFrom(t, ln.Addr(), "127.0.0.2", ""))
	floodedFrom(t, e, ln.Addr(), "127.0.0.2", "")
	eventually(t, "there is a penalty", func() bool { return e.spent("127.0.0.2") })
	for range 3 {
		isResetFrom(t, "127.0.0.2", ln.Addr(), "")
	}
	kept.get(1, "/hello")
	kept.wants(1, "200", "*")
	other := dialH2(t, ln.Addr())
	other.get(1, "/hello")
	other.wants(1, "200", "*")
	refused := uint64(0)
	for _, s := range e.Stats() {
		refused += s.Penalized
	}
	counted := e.Refusals()
	if n := counted[logging.Event{Level: slog.LevelWarn, Message: connectionsRefused, Cause: causePenalty}]; refused != 3 || n != 3 {
		t.Errorf("%d refused, %d counted", refused, n)
	}
	if n := counted[logging.Event{Level: slog.LevelWarn, Message: floodsPunished}]; n != 1 {
		t.Errorf("%d penalties", n)
	}

	// Another listener of the engine, and the same one served without penalties.
	second, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := serveHTTP(e, second); err != nil {
		t.Fatal(err)
	}
	isResetFrom(t, "127.0.0.2", second.Addr(), "")
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	isResetFrom(t, "127.0.0.2", ln.Addr(), "") // as after a reload
	for _, lim := range []Limits{{NoFloodPenalty: true}, {TrustedProxies: trusted(t, "127.0.0.2")}} {
		if err := e.Serve(ln, &testBackend{window: 64}, 0, lim); err != nil {
			t.Fatal(err)
		}
		isServedFrom(t, "127.0.0.2", ln.Addr(), "")
	}
}

func trusted(t *testing.T, networks ...string) *forwarded.Trusted {
	t.Helper()
	p, err := forwarded.New(networks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Who is punished behind proxies, and who is not.
func TestFloodPenaltyProxies(t *testing.T) {
	for _, c := range []struct {
		name, preface string
		prefaced      bool
		lim           Limits
		punished      string // not: ""
	}{
		{name: "trusted proxy", lim: Limits{TrustedProxies: trusted(t, "127.0.0.0/8")}},
		{name: "switched off", lim: Limits{NoFloodPenalty: true}},
		{name: "others are trusted", lim: Limits{TrustedProxies: trusted(t, "10.0.0.0/8")}, punished: "127.0.0.2"},
		{name: "client of a preface", prefaced: true, preface: fromV1, punished: "192.0.2.1"},
		{name: "preface without a client", prefaced: true, preface: "PROXY UNKNOWN\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, ln := limitedTo(t, nil, func(e *Engine, ln *Listener) error {
				if c.prefaced {
					ln.SetPreface(proxyproto.New(waitMost))
				}
				c.lim.H2C = true
				return e.Serve(ln, &testBackend{window: 64}, 0, c.lim)
			})
			floodedFrom(t, e, ln.Addr(), "127.0.0.2", c.preface)
			eventually(t, "all floods are over", func() bool { return e.HTTP2Ends()[causeH2Flood] == floodsMost && e.Conns() == 0 })
			if c.punished == "" {
				if e.floods.sets != nil {
					t.Error("floods are counted")
				}
				return
			}
			if !e.spent(c.punished) {
				t.Error("no penalty")
			}
			isResetFrom(t, "127.0.0.2", ln.Addr(), c.preface)
			if c.prefaced {
				isServedFrom(t, "127.0.0.2", ln.Addr(), strings.Replace(fromV1, "192.0.2.1", "192.0.2.2", 1))
			}
		})
	}
}

// What may be the mistake of a client is no flood, though its connection ends.
func TestFloodPenaltyMistakes(t *testing.T) {
	e, ln := limitedTo(t, nil, func(e *Engine, ln *Listener) error {
		return e.Serve(ln, &testBackend{window: 64}, 0, Limits{H2C: true, HeadBytes: 8 << 10})
	})
	tarpits(e, 1)
	for range 2 * floodsMost {
		p := dialH2(t, ln.Addr())
		p.WriteRawFrame(1, 4, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // no field section
		p.goneWith()
		p.Close()
		p = dialH2(t, ln.Addr())
		p.get(1, "/hello", "cookie", strings.Repeat("\x01", 14<<10)) // too large
		p.goneWith()
		p.Close()
	}
	ends := e.HTTP2Ends()
	if ends[causeH2Fields] != 2*floodsMost || ends[causeH2FieldsLarge] != 2*floodsMost || e.floods.sets != nil {
		t.Errorf("%v, floods: %v", ends, e.floods.sets != nil)
	}
}
