package main

import (
	"cmp"
	"os"
	"runtime"
	"slices"
	"time"

	"moonbridge/cmd/mbserve/admin"
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/pool"
	"moonbridge/handler/websocket"
	"moonbridge/handler/worker"
)

// runningMax is how many exchanges of each loop and pool are shown, besides those of workers as far as there is room.
const runningMax = 200

// queueShown is how many exchanges are shown of those that wait.
const queueShown = 10

// sampler returns what takes the samples for the plots.
func (a *adminSide) sampler() func(time.Time, time.Duration) admin.Sample {
	last := a.recorder.Totals()
	return func(now time.Time, span time.Duration) admin.Sample {
		t := a.recorder.Totals()
		s := sampleOf(t, last, span)
		last = t
		s.Time, s.Conns = now.Unix(), a.s.engineConns()
		for _, p := range a.pools() {
			s.Waiting += p.Waiting
			s.Busy += p.Busy
			s.Workers += p.Booting + p.Idle + p.Busy + p.Draining
		}
		return s
	}
}

// sampleOf is what was counted between two moments.
func sampleOf(t, last *metrics.Totals, span time.Duration) admin.Sample {
	d, q := t.Duration.Since(&last.Duration), t.Queue.Since(&last.Queue)
	return admin.Sample{
		Requests: float64(t.Requests()-last.Requests()) / span.Seconds(), Errors: float64(t.Errors()-last.Errors()) / span.Seconds(),
		P50: d.Quantile(0.5).Seconds(), P90: d.Quantile(0.9).Seconds(), P99: d.Quantile(0.99).Seconds(), Queue99: q.Quantile(0.99).Seconds(),
	}
}

// engineConns is how many connections there are. The engine is started after the admin listener.
func (s *server) engineConns() int64 {
	if !s.admin.working.Load() {
		return 0
	}
	return s.engine.Conns()
}

// status is what the server does now.
func (a *adminSide) status() *admin.Status {
	t := a.recorder.Totals()
	st := &admin.Status{Now: time.Now(), Missing: a.missing(), Errors: a.errors.Last(), Sample: a.history.Last()}
	st.Ready = len(st.Missing) == 0
	st.Server = admin.Process{
		Version: version, Lua: worker.Version(), Go: runtime.Version(), Subject: a.s.o.subject(), PID: os.Getpid(), Started: a.started,
		Requests: t.Requests(), Errors: t.Errors(), Conns: a.s.engineConns(),
	}
	a.mu.Lock()
	st.Server.Generation, st.Reloads = a.current, slices.Clone(a.reloads)
	a.mu.Unlock()
	slices.Reverse(st.Reloads)
	g := a.serving()
	if !a.working.Load() || g == nil { // not yet, or no longer
		return st
	}
	sp := a.s.engine.Spool()
	st.Spool = admin.Spool{Bytes: sp.Bytes, Files: sp.Files, Refused: sp.Refused, Waited: sp.Waited}
	a.addLoops(st)
	a.addPools(st, g)
	addCaches(st, g)
	a.addWebSockets(st)
	a.addChannels(st)
	a.addTimers(st)
	return st
}

func (a *adminSide) addLoops(st *admin.Status) {
	loops := a.loops.of(a.s.engine)
	a.addConnections(st, loops)
	for _, l := range loops {
		st.Loops = append(st.Loops, admin.Loop{Loop: l.Loop, Conns: l.Conns, Idle: l.Idle, Raw: l.Raw, Posts: l.Posts, Longest: l.LongestTurn.Seconds()})
	}
}

func addCaches(st *admin.Status, g *generation) {
	for id, one := range g.caches {
		c := one.Stats()
		st.Caches = append(st.Caches, admin.Cache{
			Cache: id, Hits: c.Hits, Stale: c.Stale, Misses: c.Misses, Keys: c.Keys, Bytes: c.Bytes, Limit: c.Limit,
		})
	}
	slices.SortFunc(st.Caches, func(a, b admin.Cache) int { return a.Cache - b.Cache })
}

func (a *adminSide) addWebSockets(st *admin.Status) {
	w := a.s.websockets.Stats()
	if w.Accepted == 0 && w.Refused == 0 {
		return
	}
	st.WebSockets = &admin.WebSockets{
		Open: int64(w.Open), Accepted: w.Accepted, Refused: w.Refused, In: w.In, Out: w.Out, Waiting: int64(w.Waiting), Closed: make(map[string]uint64),
	}
	for cause, n := range w.Closed {
		if n > 0 {
			st.WebSockets.Closed[websocket.Causes[cause]] = n
		}
	}
}

func (a *adminSide) addChannels(st *admin.Status) {
	c := a.s.channels.Stats()
	if c.Messages == 0 && c.Subscribers == 0 && c.Channels == 0 {
		return
	}
	st.Channels = &admin.Channels{
		Channels: int64(c.Channels), Subscribers: int64(c.Subscribers), Messages: c.Messages, Deliveries: c.Deliveries,
		Refused: c.Refused, Slow: c.Slow, History: int64(c.History),
	}
}

func (a *adminSide) addTimers(st *admin.Status) {
	known := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	for _, t := range a.s.intervals.Timers() {
		one := admin.Timer{Name: t.Name, Delay: t.Delay.Seconds(), Running: t.Running, Last: known(t.Began), Took: t.Took.Seconds(), Next: known(t.Next), Ticks: t.Ticks}
		if one.Name == "" {
			one.Name = "pool " + poolLabel(t.Pool)
		}
		st.Timers = append(st.Timers, one)
	}
}

func (a *adminSide) addPools(st *admin.Status, g *generation) {
	figures := a.pools()
	memory := a.memory.of(figures)
	running := a.running()
	for _, f := range figures {
		p := admin.Pool{
			Index: f.index, Booting: f.Booting, Idle: f.Idle, Busy: f.Busy, Draining: f.Draining, Waiting: f.Waiting,
			Exchanges: f.Exchanges, Forks: f.Forks, Ends: f.ends, Lost: f.Lost, Retries: f.Retries, Abandoned: f.Abandoned,
			Memory: memory[f.index], Shared: f.shared, Addresses: g.addressesOf(f.index),
		}
		if all := g.host.Pools(); f.index < len(all) {
			p.MaxFork, p.Missing = all[f.index].Spec().Options.MaxFork, all[f.index].Missing()
		}
		addWorkers(&p, f.workers, running[f.index])
		st.Pools = append(st.Pools, p)
	}
}

// running asks the loops for the exchanges in progress, by pool. All pools are asked at the same time.
func (a *adminSide) running() map[int][]pool.Running {
	type answer struct {
		pool int
		list []pool.Running
	}
	asked, answers := 0, make(chan answer)
	for _, g := range a.generations() {
		for _, p := range g.host.Pools() {
			asked++
			go func() { answers <- answer{p.Index(), p.Running(runningMax, loopPatience)} }()
		}
	}
	by := make(map[int][]pool.Running)
	for range asked {
		one := <-answers
		by[one.pool] = append(by[one.pool], one.list...)
	}
	return by
}

// addWorkers says what each worker does, and what waits for one.
func addWorkers(p *admin.Pool, workers []pool.WorkerFigures, running []pool.Running) {
	by := make(map[int]*admin.Running)
	for _, r := range running {
		one := &admin.Running{
			PID: r.PID, Kind: r.Kind, What: whatOf(&r), Client: r.Client, ID: r.ID,
			Waited: r.Waited.Seconds(), Seconds: r.Running.Seconds(), Phase: r.Phase,
		}
		if r.Slot < 0 {
			p.Queue = append(p.Queue, *one)
		} else {
			by[r.PID] = one
		}
	}
	for _, w := range workers {
		p.Workers = append(p.Workers, admin.Worker{
			Slot: w.Slot, PID: w.PID, State: w.State, Age: w.Age.Seconds(), Exchanges: w.Exchanges, Doing: by[w.PID],
		})
	}
	slices.SortFunc(p.Queue, func(a, b admin.Running) int { return cmp.Compare(b.Waited, a.Waited) })
	p.Queue = p.Queue[:min(len(p.Queue), queueShown)]
}

// whatOf names an exchange.
func whatOf(r *pool.Running) string {
	switch {
	case r.Name != "":
		return r.Kind + " " + r.Name
	case r.Method != "":
		return r.Method + " " + r.Path
	}
	return r.Kind
}

// addressesOf says where a pool listens.
func (g *generation) addressesOf(n int) (list []string) {
	if n >= len(g.listeners) {
		return nil
	}
	for _, l := range g.listeners[n] {
		if l.at != nil {
			list = append(list, urlOf(l))
		}
	}
	return list
}
