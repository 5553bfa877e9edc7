package main

import (
	"maps"
	"slices"
	"strconv"

	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
)

// poolFigures are the figures of a pool over all generations of the script: what is counted never becomes less at a reload.
type poolFigures struct {
	index int
	pool.Stats
	ends     map[string]uint64
	refusals map[logging.Event]uint64
	shared   int64
	workers  []pool.WorkerFigures
}

func newPoolFigures(index int) *poolFigures {
	return &poolFigures{index: index, ends: make(map[string]uint64), refusals: make(map[logging.Event]uint64)}
}

func poolLabel(index int) string { return strconv.Itoa(index) }

// count adds what a pool of g has counted so far.
func (f *poolFigures) count(g *generation, p *pool.Pool, st *pool.Stats) {
	f.merge(&poolFigures{Stats: *st, ends: p.Ends(), refusals: p.Refusals()})
	if n := p.Index(); n < len(g.failed) {
		f.merge(&poolFigures{refusals: g.failed[n].Totals()})
	}
}

// see adds what a pool has and does now.
func (f *poolFigures) see(p *pool.Pool, st *pool.Stats) {
	f.Booting += st.Booting
	f.Idle += st.Idle
	f.Busy += st.Busy
	f.Draining += st.Draining
	f.Waiting += st.Waiting
	f.InFlight += st.InFlight
	f.shared += p.SharedBytes()
	f.workers = append(f.workers, p.Workers()...)
}

// merge adds what another one has counted.
func (f *poolFigures) merge(o *poolFigures) {
	f.Exchanges += o.Exchanges
	f.Forks += o.Forks
	f.Deaths += o.Deaths
	f.Retries += o.Retries
	f.Lost += o.Lost
	f.Abandoned += o.Abandoned
	for cause, n := range o.ends {
		f.ends[cause] += n
	}
	for event, n := range o.refusals {
		f.refusals[event] += n
	}
}

// pools returns the figures of all pools, by number.
func (a *adminSide) pools() []*poolFigures {
	a.mu.Lock()
	defer a.mu.Unlock()
	by := make(map[int]*poolFigures)
	of := func(i int) *poolFigures {
		if by[i] == nil {
			by[i] = newPoolFigures(i)
		}
		return by[i]
	}
	for i, past := range a.past {
		of(i).merge(past)
	}
	for _, g := range a.live {
		for _, p := range g.host.Pools() {
			st := p.Stats()
			of(p.Index()).count(g, p, &st)
			of(p.Index()).see(p, &st)
		}
	}
	return slices.SortedFunc(maps.Values(by), func(a, b *poolFigures) int { return a.index - b.index })
}

// ended keeps what a generation has counted that has ended. It does nothing for one that never served.
func (a *adminSide) ended(g *generation) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.live, g) {
		return
	}
	a.live = slices.DeleteFunc(a.live, func(other *generation) bool { return other == g })
	for _, p := range g.host.Pools() {
		f := a.past[p.Index()]
		if f == nil {
			f = newPoolFigures(p.Index())
			a.past[p.Index()] = f
		}
		st := p.Stats()
		f.count(g, p, &st)
	}
}

// generations are those that serve or complete their requests, the serving one last.
func (a *adminSide) generations() []*generation {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.live)
}

// serving is the generation that serves; nil: none yet.
func (a *adminSide) serving() *generation {
	all := a.generations()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// missing says what keeps the server from being ready, a line each.
func (a *adminSide) missing() (lines []string) {
	switch {
	case a.stopping.Load():
		return []string{"the server is stopping"}
	case !a.working.Load():
		return []string{"the script is loading"}
	}
	g := a.serving()
	if g == nil {
		return []string{"no script is loaded"}
	}
	for n, p := range g.host.Pools() {
		if m := p.Missing(); m != "" {
			lines = append(lines, "pool "+poolLabel(n)+": "+m)
		}
	}
	return lines
}
