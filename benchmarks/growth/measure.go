package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

// patience bounds a request. The server gives up after queue_timeout, which is 10 s.
const patience = 15 * time.Second

// moment is the measurement at one time.
type moment struct {
	at        time.Duration // since the start of the load
	clients   int
	workers   int
	perSecond float64
	p50       float64 // milliseconds
}

// series holds the measurements with one set of options.
type series struct {
	moments                 []moment
	refused                 int
	few, many               uint64 // bytes of memory
	fewWorkers, manyWorkers int
}

func (s series) perWorker() string {
	if s.manyWorkers <= s.fewWorkers {
		return "no difference to divide"
	}
	return fmt.Sprintf("%.2f MiB for each additional one", mebibytes(s.many-min(s.few, s.many))/float64(s.manyWorkers-s.fewWorkers))
}

// notWorkers is the number of mbserve processes that are not workers: the server and the fork server.
const notWorkers = 2

// measure starts mbserve, loads it step by step, and stops it.
func measure(ctx context.Context, settings servers.Settings, set string) (s series, err error) {
	settings.MbserveOptions = []string{common}
	if set != "" {
		settings.MbserveOptions = append(settings.MbserveOptions, strings.Split(set, ",")...)
	}
	work, err := servers.FindWorkload("hello")
	if err != nil {
		return s, err
	}
	work.Name = "waiting" // its script; request and answer are the same
	err = settings.Use("mbserve", work, func(server *servers.Server) error { return s.measure(ctx, server, work) })
	return s, err
}

func (s *series) measure(ctx context.Context, server *servers.Server, work servers.Workload) error {
	time.Sleep(2 * every) // the pool reaches its size at rest
	if err := s.remember(server, &s.few, &s.fewWorkers); err != nil {
		return err
	}
	c := &clients{address: server.Address, request: work.Request(server.Address)}
	defer c.set(0)
	began := time.Now()
	for _, p := range steps {
		c.set(p.clients)
		for range p.span / every {
			at := time.Duration(len(s.moments)+1) * every
			if err := program.Sleep(ctx, time.Until(began.Add(at))); err != nil {
				return err
			}
			times, refused := c.takeNotes()
			s.refused += refused
			m := moment{at: at, clients: p.clients, perSecond: float64(len(times)) / every.Seconds()}
			m.workers = len(server.Tree.PIDs()) - notWorkers
			if len(times) > 0 {
				m.p50 = stats.Quantile(times, 0.5) / float64(time.Millisecond)
			}
			s.moments = append(s.moments, m)
		}
		if p.clients == most() {
			if err := s.remember(server, &s.many, &s.manyWorkers); err != nil {
				return err
			}
		}
	}
	return c.err()
}

// most returns the number of clients in the heaviest step.
func most() (n int) {
	for _, p := range steps {
		n = max(n, p.clients)
	}
	return n
}

func (s *series) remember(server *servers.Server, bytes *uint64, workers *int) error {
	m, err := server.Tree.Memory()
	*bytes, *workers = m.PSS, len(server.Tree.PIDs())-notWorkers
	return err
}

// clients send requests, each over a separate connection.
type clients struct {
	address string
	request []byte

	stops []chan struct{}
	all   sync.WaitGroup

	mu      sync.Mutex
	times   []float64 // nanoseconds, of the answers since the last takeNotes
	refused int
	failure error
}

// set changes the number of clients to n. Excess clients complete their current request.
func (c *clients) set(n int) {
	for len(c.stops) < n {
		stop := make(chan struct{})
		c.stops = append(c.stops, stop)
		c.all.Go(func() { c.run(stop) })
	}
	for len(c.stops) > n {
		close(c.stops[len(c.stops)-1])
		c.stops = c.stops[:len(c.stops)-1]
	}
	if n == 0 {
		c.all.Wait()
	}
}

func (c *clients) run(stop chan struct{}) {
	conn, err := probe.Dial(c.address, patience)
	if err != nil {
		c.note(0, false, err)
		return
	}
	defer conn.Close()
	for {
		select {
		case <-stop:
			return
		default:
		}
		began := time.Now()
		answer, err := conn.Ask(c.request)
		if err != nil {
			c.note(0, false, err)
			return
		}
		c.note(time.Since(began), answer.Status == "200 OK", nil)
	}
}

func (c *clients) note(took time.Duration, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.failure = errors.Join(c.failure, err)
	case ok:
		c.times = append(c.times, float64(took))
	default:
		c.refused++
	}
}

// takeNotes returns the results since the last call.
func (c *clients) takeNotes() (times []float64, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	times, refused = c.times, c.refused
	c.times, c.refused = nil, 0
	return times, refused
}

func (c *clients) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}
