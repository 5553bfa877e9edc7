package reactor

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// burstTime is how long a burst lasts.
const burstTime = int64(10 * time.Millisecond)

// burst is the connections that a peer opens at once.
type burst struct {
	mu    sync.Mutex // loops accept at the same time
	peer  netip.Addr
	until int64  // ns
	to    *share // gets all of them
	left  int64  // connections that to may still get
}

// goes reports whether the burst goes on. Under mu.
func (b *burst) goes(now int64) bool {
	return b.left > 0 && now < b.until && b.to.loop.burst.Load() == b.until
}

// begin has the loop to get what peer opens from now on, unless the loop gets a burst of another listener: with both it could get more than
// Fill says. Under mu.
func (b *burst) begin(now int64, peer netip.Addr, to *share, left int64) {
	until := now + burstTime
	if old := to.loop.burst.Load(); old > now || !to.loop.burst.CompareAndSwap(old, until) {
		return
	}
	b.peer, b.until, b.to, b.left = peer, until, to, left
}

// take takes one of its places. Under mu.
func (b *burst) take() *share {
	if b.left--; b.left == 0 {
		b.to.loop.burst.CompareAndSwap(b.until, 0)
	}
	return b.to
}

// share is a loop that gets connections.
type share struct {
	loop   *Loop
	accept AcceptFunc
}

// addShare adds a loop. Under mu.
func (ln *Listener) addShare(s share) {
	var shares []share
	if p := ln.shares.Load(); p != nil {
		shares = slices.Clone(*p)
	}
	at, _ := slices.BinarySearchFunc(shares, s, func(a, b share) int { return cmp.Compare(a.loop.index, b.loop.index) })
	shares = slices.Insert(shares, at, s)
	ln.shares.Store(&shares)
}

// Fill has the connections that are accepted from now on fill the loops one after the other: the first one that has fewer than n, of whatever
// listener, gets the next. When all have n, the kernel spreads connections again, or they are dealt out in turn. Few busy connections then
// meet in the turns of one loop, which does for all of them together what it would have to do for each. The price is that a few of them
// have one processor between them. 0, the default, fills nothing.
//
// Up to n connections that a peer opens within 10 ms stay together even if others have taken places: a loop has room for the first of them, and
// gets them all. So a loop may get up to 2n-1, of all listeners together: what a peer opens on another listener meanwhile stays together on another
// loop when this one has no place left.
//
// Only descriptors that are registered with Loop.Add or Loop.WatchConn count. So Fill is not for connections that AcceptFunc passes on
// elsewhere.
func (ln *Listener) Fill(n int) { ln.fill.Store(int64(n)) }

// deal gives a connection that a has accepted to the loop that is to have it.
func (ln *Listener) deal(a *acceptor, fd int, peer netip.AddrPort) {
	to := ln.unfilled(a, peer.Addr())
	if to == nil && ln.shared {
		to = ln.inTurn()
	}
	if to == nil || to.loop == a.loop || !to.send(fd, peer) {
		a.accept(fd, peer)
	}
}

// send has the loop take a connection that another one has accepted. false: the loop has ended, because its poller has failed.
func (s *share) send(fd int, peer netip.AddrPort) bool {
	s.loop.conns.Add(1) // many may be on their way in one turn
	sent := s.loop.Post(func() {
		s.accept(fd, peer)
		s.loop.conns.Add(-1)
	})
	if !sent {
		s.loop.conns.Add(-1)
	}
	return sent
}

// unfilled returns the loop that gets a connection of peer because it is to be filled, or nil. Connections that are accepted while the
// listener closes do not change over if they need not: who waits for the loops to have taken them does not wait for those on their way.
func (ln *Listener) unfilled(a *acceptor, peer netip.Addr) *share {
	n := ln.fill.Load()
	if n <= 0 || a.closed {
		return nil
	}
	b := &ln.burst
	b.mu.Lock()
	defer b.mu.Unlock()
	now := a.loop.now
	going := b.goes(now)
	if going && b.peer == peer {
		return b.take()
	}
	shares := *ln.shares.Load()
	for i := range shares {
		if shares[i].loop.conns.Load() < n {
			if !going { // else those who connect meanwhile would end it
				b.begin(now, peer, &shares[i], n-1)
			}
			return &shares[i]
		}
	}
	return nil
}

// inTurn returns the loop whose turn it is.
func (ln *Listener) inTurn() *share {
	shares := *ln.shares.Load()
	ln.turn = (ln.turn + 1) % len(shares)
	return &shares[ln.turn]
}
