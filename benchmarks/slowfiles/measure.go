package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/wrk"
)

// honest is the number of honest clients.
const honest = 16

// series holds what was measured with one server, a value for each round.
type series struct {
	server    string
	honest    []honestWork
	perReader []float64 // KiB
	lost      int64     // readers that did not keep their connections
	quiet     []cores   // beside the readers, without honest clients
}

// windows is how often each work of honest clients is measured before the readers come, while they are there, and after they have
// gone. The throughput of a small virtual machine wanders by a fifth within a minute, so many short windows tell more than a long
// one, and the windows before and after are compared with those between them.
const windows = 4

// honestWork is what honest clients do.
type honestWork struct {
	name, path string

	alone, beside situation
	ratio         []float64 // for each round
	bad           int
}

// situation is what was measured without readers or beside them, a value for each window.
type situation struct {
	perSecond, p99, cpu []float64 // cpu: of the server, µs a request
	cores               []cores
}

// latest is the mean throughput of the latest n windows.
func (s *situation) latest(n int) float64 {
	sum := 0.0
	for _, v := range s.perSecond[len(s.perSecond)-n:] {
		sum += v
	}
	return sum / float64(n)
}

// measure measures all servers in each round.
func measure(ctx context.Context, o options) (all []*series, err error) {
	for _, name := range o.servers {
		all = append(all, &series{server: name, honest: []honestWork{
			{name: "a handler's answer", path: "/"}, {name: "a file of 1 KiB", path: servers.FilePath}}})
	}
	for round := range o.rounds {
		for i := range all {
			s := all[(round+i)%len(all)]
			fmt.Fprintln(os.Stderr, "round", round+1, s.server)
			if err := s.round(ctx, o); err != nil {
				return nil, fmt.Errorf("%s: %w", s.server, err)
			}
		}
	}
	return all, nil
}

// round starts the server and measures it without and with readers.
func (s *series) round(ctx context.Context, o options) error {
	return o.settings.Use(s.server, servers.SlowFiles(), func(server *servers.Server) error { return s.measure(ctx, o, server) })
}

func (s *series) measure(ctx context.Context, o options, server *servers.Server) error {
	for i := range s.honest { // warm-up
		if _, _, err := load(ctx, server, s.honest[i].path, time.Second); err != nil {
			return err
		}
	}
	if err := s.loadAll(ctx, o, server, false); err != nil {
		return err
	}
	before, err := memory(ctx, server)
	if err != nil {
		return err
	}
	slow, err := startReaders(ctx, server.Address, o.clients)
	if err != nil {
		return err
	}
	defer slow.stop()
	with, err := memory(ctx, server)
	if err != nil {
		return err
	}
	s.perReader = append(s.perReader, (with-before)/float64(o.clients))
	quiet, err := usageDuring(server, func() (time.Duration, error) { return 0, program.Sleep(ctx, o.duration) })
	if err != nil {
		return err
	}
	s.quiet = append(s.quiet, quiet)
	if err := s.loadAll(ctx, o, server, true); err != nil {
		return err
	}
	s.lost += slow.lost.Load()
	if slow.bytes.Load() == 0 {
		return errors.New("the readers got nothing")
	}
	slow.stop()
	if _, err := memory(ctx, server); err != nil { // at rest
		return err
	}
	if err := s.loadAll(ctx, o, server, false); err != nil {
		return err
	}
	for i := range s.honest {
		w := &s.honest[i]
		w.ratio = append(w.ratio, w.beside.latest(windows)/w.alone.latest(2*windows))
	}
	return nil
}

// loadAll measures each work of the honest clients, in windows that alternate.
func (s *series) loadAll(ctx context.Context, o options, server *servers.Server, beside bool) error {
	for range windows {
		for i := range s.honest {
			if err := s.honest[i].measure(ctx, o, server, beside); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure loads the server with honest clients once, and notes the result.
func (w *honestWork) measure(ctx context.Context, o options, server *servers.Server, beside bool) error {
	var result wrk.Result
	used, err := usageDuring(server, func() (spent time.Duration, err error) {
		result, spent, err = load(ctx, server, w.path, o.duration)
		return spent, err
	})
	if err != nil {
		return err
	}
	cpu := used.server * o.duration.Seconds() * 1e6 / float64(max(1, result.Requests))
	w.bad += result.BadStatus + result.Errors.Total()
	p99 := float64(result.P99) / float64(time.Millisecond)
	to := &w.alone
	if beside {
		to = &w.beside
	}
	to.perSecond, to.p99 = append(to.perSecond, result.PerSecond), append(to.p99, p99)
	to.cpu, to.cores = append(to.cpu, cpu), append(to.cores, used)
	return nil
}

// usageDuring returns what was used while fn ran. fn returns what wrk has used.
func usageDuring(server *servers.Server, fn func() (time.Duration, error)) (cores, error) {
	before, err := usageOf(server)
	if err != nil {
		return cores{}, err
	}
	spent, err := fn()
	if err != nil {
		return cores{}, err
	}
	after, err := usageOf(server)
	return after.since(before, spent), err
}

func load(ctx context.Context, server *servers.Server, path string, duration time.Duration) (wrk.Result, time.Duration, error) {
	return wrk.Load{URL: "http://" + server.Address + path, Threads: 1, Conns: honest, Duration: duration}.Run(ctx)
}

// memory returns the memory of the server in KiB, when it is at rest.
func memory(ctx context.Context, server *servers.Server) (float64, error) {
	if err := program.Rest(ctx, server, 0.1); err != nil {
		return 0, err
	}
	used, err := server.Tree.Memory()
	return float64(used.PSS) / (1 << 10), err
}
