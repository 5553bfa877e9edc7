package engine

import (
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/logging"
)

// A flood of HTTP/2 frames ends its connection. One that connects again at once makes the server pay for a TLS handshake each time, which
// costs it more than the flood. So an address that floods again and again may open only few connections for a while: see
// Limits.NoFloodPenalty. Nothing is looked up before there has been such an address.
const (
	// floodsMost is how many floods within floodWindow are punished. A client that is mistaken ends one connection, not one each second.
	floodsMost  = 10
	floodWindow = 10 * time.Second
	// floodPenalty is how long a penalty lasts after the last flood.
	floodPenalty = 10 * time.Second
	// floodConnEach is the time between the connections that an address may open then, and floodConns how many of them it may open at
	// once. Others may have the same address: they come in if the attacker does not take all of them.
	floodConnEach = 100 * time.Millisecond
	floodConns    = 10
	// floodSets times floodSetEntries is how many addresses are remembered, in 48 KiB.
	floodSets       = 128
	floodSetEntries = 8
)

// floods is what is known of addresses that flood. All loops use it.
type floods struct {
	until atomic.Int64 // when the last penalty ends, in ns on the clock of the loops; 0: there has been none

	mu   sync.Mutex
	seed maphash.Seed                         // of the choice of sets
	sets *[floodSets][floodSetEntries]flooder // nil: there has been no flood
}

// flooder is what is known of an address. Times are in ns on the clock of the loops.
type flooder struct {
	from   [16]byte // see groupOf
	since  int64    // when the first one of floods was
	floods int64    // 0: nothing is known
	until  int64    // the end of the penalty; 0: none
	paid   int64    // when the connections that it has opened since will not count any more
}

// groupOf is what counts as one address: an IPv4 address, or the /64 of an IPv6 address, which a provider gives to one customer.
func groupOf(a netip.Addr) [16]byte {
	b := a.As16()
	if !a.Unmap().Is4() {
		clear(b[8:])
	}
	return b
}

// flooded counts a flood from an address. It reports whether a penalty begins. During a penalty, each further flood prolongs it.
func (f *floods) flooded(a netip.Addr, now int64) (begins bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sets == nil {
		f.sets, f.seed = new([floodSets][floodSetEntries]flooder), maphash.MakeSeed()
	}
	e := f.find(groupOf(a), now)
	if e.until <= now {
		if e.floods == 0 || now-e.since > int64(floodWindow) {
			e.since, e.floods = now, 0
		}
		if e.floods++; e.floods < floodsMost {
			return false
		}
		e.floods, e.paid = 0, now
		begins = true
	}
	e.until = now + int64(floodPenalty)
	f.until.Store(max(f.until.Load(), e.until))
	return begins
}

// admits reports whether an address may open a connection now, and counts it.
func (f *floods) admits(a netip.Addr, now int64) bool {
	if f.until.Load() <= now || !a.IsValid() {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from := groupOf(a)
	set := f.set(&from)
	for i := range set {
		if e := &set[i]; e.from == from && e.until > now {
			return e.pay(now)
		}
	}
	return true
}

// pay counts a connection of an address during its penalty, unless there are too many.
func (e *flooder) pay(now int64) bool {
	paid := max(e.paid, now) + int64(floodConnEach)
	if paid-now > int64(floodConns*floodConnEach) {
		return false
	}
	e.paid = paid
	return true
}

func (f *floods) set(from *[16]byte) *[floodSetEntries]flooder {
	return &f.sets[maphash.Bytes(f.seed, from[:])%floodSets]
}

// find returns the entry of an address. If there is none, it takes the place of the one that matters least.
func (f *floods) find(from [16]byte, now int64) *flooder {
	set := f.set(&from)
	least := &set[0]
	for i := range set {
		e := &set[i]
		if e.from == from {
			return e
		}
		if e.weight(now) < least.weight(now) {
			least = e
		}
	}
	*least = flooder{from: from}
	return least
}

// weight says how important it is not to forget an address: the entry with the least is replaced.
func (e *flooder) weight(now int64) int64 {
	switch {
	case e.until > now:
		return floodsMost + e.until - now
	case e.floods > 0 && now-e.since <= int64(floodWindow):
		return e.floods
	}
	return 0
}

// flooded counts a flood of the peer of a connection. An address that stands for many is not punished: that of a trusted proxy, or of one
// that names the clients of other connections, but not of this one.
func (l *loop) flooded(s *service, peer *socket) {
	s = s.latest()
	a := peer.peer.Addr()
	if !s.punishes || !a.IsValid() || s.prefaced && peer.local != localNamed || s.trusts(a) || !l.e.floods.flooded(a, l.now()) {
		return
	}
	l.e.tally.Add(logging.Event{Level: slog.LevelWarn, Message: floodsPunished}, func() []slog.Attr {
		return []slog.Attr{slog.String("client", a.String())}
	})
}

// punished reports whether a new connection of b comes from an address that may open none now, because of its floods.
func (l *loop) punished(b *binding, client netip.Addr) bool {
	s := b.http
	return s != nil && s.punishes && !l.e.floods.admits(client, l.now()) && !s.trusts(client)
}
