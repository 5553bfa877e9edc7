package upstream

import (
	"errors"
	"slices"

	"moonbridge/httpparse"
)

// Errors of Picker.Pick.
var (
	// ErrNone: there is no target, or none that was not tried; with Options.OnlyHealthy, none of these is up.
	ErrNone = errors.New("no target")
	// ErrBusy: all targets have as many requests as they may have. The request may wait.
	ErrBusy = errors.New("all targets are busy")
)

// Picker chooses the servers of a Set for one loop. Only that loop may call it.
type Picker struct {
	set     *Set
	balance LoopBalancer
	servers []*Server // room for a Choice
	choice  Choice    // it escapes to the balancer: here, so that it is not allocated each time
	freed   uint64    // queue.freed before the latest pick
	yields  bool      // in the latest pick, slots were for those who wait
	panics  bool      // in the latest pick, all servers counted as up
	trial   bool      // the latest pick has begun the trial of a server
}

// Picker makes the Picker of a loop.
func (s *Set) Picker(loop, loops int) *Picker {
	return &Picker{set: s, balance: s.o.Balance.OnLoop(loop, loops)}
}

// Key is what Pick has to know of a request. The same value is passed for each attempt.
func (k *Picker) Key(h *httpparse.Head) uint64 { return k.balance.Key(h) }

// Pick chooses a server, and gives it the request: Server.End follows when that is over. now is Loop.Now. tried are servers that
// are not wanted again.
func (k *Picker) Pick(now int64, key uint64, tried []*Server) (*Server, error) {
	return k.pick(now, key, tried, k.set.queue.calls.Load() > 0)
}

// Trial reports whether the request that Pick or PickFor has given to a server last is its trial.
func (k *Picker) Trial() bool { return k.trial }

// pick is Pick. yields: slots are for those who wait.
func (k *Picker) pick(now int64, key uint64, tried []*Server, yields bool) (*Server, error) {
	k.set.tell(now)
	k.freed = k.set.queue.freed.Load()
	k.yields, k.trial = yields, false
	busy := k.eligible(now, tried)
	for len(k.servers) > 0 {
		k.choice = Choice{Now: now, Key: key, Servers: k.servers}
		i := 0
		if len(k.servers) > 1 {
			i = k.balance.Pick(&k.choice)
		}
		v := k.servers[i]
		taken, trial := v.take(now, k.panics)
		if taken {
			k.trial = trial
			return v, nil
		}
		busy = true // another loop was faster
		k.servers = slices.Delete(k.servers, i, i+1)
	}
	if busy {
		return nil, ErrBusy
	}
	return nil, ErrNone
}

// Another reports whether there is a server that may get a request, or may get it when it has a free slot, besides those that were
// tried and last.
func (k *Picker) Another(now int64, tried []*Server, last *Server) bool {
	k.yields = false
	busy := k.eligible(now, tried)
	return busy || len(k.servers) > 1 || len(k.servers) == 1 && k.servers[0] != last
}

// take begins a request, and the trial of a server that has one. panics: that it is out does not count.
func (v *Server) take(now int64, panics bool) (taken, trial bool) {
	if !v.begin() {
		return false, false
	}
	s := v.standing(now) // another loop may have changed it since eligible
	trial = s == onTrial && v.health.tryNow()
	if s == up || trial || panics {
		return true, trial
	}
	v.active.Add(-1)
	return false, false
}

// eligible collects the servers that may get a request. busy: there are others that have as many requests as they may have. A request that
// has tried all servers that are up gets the others: one that was left out may be back, and without it the request is lost.
func (k *Picker) eligible(now int64, tried []*Server) (busy bool) {
	m := k.set.current.Load()
	k.servers, k.panics = k.servers[:0], false
	usable, b := k.add(now, m.primary, tried)
	busy = b
	if enough(usable, len(m.primary), k.set.o.Passive.Panic) && k.found(busy) {
		return busy
	}
	spare, b := k.add(now, m.backup, tried)
	busy = busy || b
	if spare > 0 && k.found(busy) {
		return busy
	}
	if k.set.o.OnlyHealthy || usable+spare > 0 && k.set.o.Passive.Panic == 0 {
		return busy
	}
	k.panics = true
	return k.addAll(m.all, tried) || busy
}

// found reports whether there is a server for the request, now or later.
func (k *Picker) found(busy bool) bool { return busy || len(k.servers) > 0 }

// enough reports whether so many of the targets are up that no others are needed.
func enough(up, all int, part float64) bool {
	return up > 0 && float64(up) >= part*float64(all)
}

// add adds the servers that are up. usable counts them, whether they have a free slot, or were tried, or not.
func (k *Picker) add(now int64, list, tried []*Server) (usable int, busy bool) {
	for _, v := range list {
		s := v.standing(now)
		if s == out {
			continue
		}
		usable++
		switch {
		case slices.Contains(tried, v):
		case v.full(), k.yields && s == onTrial, k.yields && v.bounded():
			busy = true
		default:
			k.servers = append(k.servers, v)
		}
	}
	return usable, busy
}

// addAll adds what is not there yet: in a panic all servers count as up.
func (k *Picker) addAll(list, tried []*Server) (busy bool) {
	for _, v := range list {
		switch {
		case slices.Contains(tried, v) || slices.Contains(k.servers, v):
		case v.full(), k.yields && v.bounded():
			busy = true
		default:
			k.servers = append(k.servers, v)
		}
	}
	return busy
}

// bounded reports whether the server has a number of slots.
func (v *Server) bounded() bool { return v.slots.Load() > 0 }

func (v *Server) full() bool {
	slots := v.slots.Load()
	return slots > 0 && v.active.Load() >= slots
}
