package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

const (
	// dialers is how many connections are opened at the same time: well below any server's backlog.
	dialers = 32
	// requestTimeout bounds a dial with its request. If one takes longer, the measurement fails.
	requestTimeout = 10 * time.Second
	// warmRequests is the number of requests sent before the first measurement, so that one-time allocations are done.
	warmRequests = 5000
)

// observation holds the measurements of one server.
type observation struct {
	server        string
	conns         int
	processes     int
	before, after proc.Memory
	closed        int     // connections that the server had closed by the end
	idleCPU       float64 // of the server while the connections were left alone; 1 is one core

	freshBefore []float64 // nanoseconds from the dial to the end of the answer, without idle connections
	fresh       []float64 // the same with idle connections
	awake       []float64 // from the request to the answer on a connection that was idle
}

func (s observation) perConn(before, after uint64) float64 {
	return (float64(after) - float64(before)) / float64(s.conns)
}

func mebibytes(n uint64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) }

func micros(series []float64, q float64) string {
	return strconv.FormatFloat(stats.Quantile(series, q)/float64(time.Microsecond), 'f', 0, 64)
}

// target is a server and how it is spoken to.
type target struct {
	protocol protocol
	workload servers.Workload
	address  string
}

// dial opens a connection from the first address.
func (to target) dial(ctx context.Context) (client, error) { return to.dialFrom(ctx, addressOf(0)) }

func (to target) dialFrom(ctx context.Context, from net.IP) (client, error) {
	return to.protocol.dial(ctx, from, to.workload, to.address)
}

// observe starts a server, measures it, and stops it.
func observe(ctx context.Context, o options, name string) (seen observation, err error) {
	w, err := o.protocol.workload()
	if err != nil {
		return seen, err
	}
	seen = observation{server: name, conns: o.conns}
	err = o.settings.Use(name, w, func(server *servers.Server) error {
		return seen.observe(ctx, o, server, target{o.protocol, w, server.Address})
	})
	return seen, err
}

func (s *observation) observe(ctx context.Context, o options, server *servers.Server, to target) (err error) {
	if err := warm(ctx, to); err != nil {
		return err
	}
	if s.freshBefore, err = freshLatencies(ctx, to, o.samples); err != nil {
		return err
	}
	if err := program.Sleep(ctx, o.hold); err != nil {
		return err
	}
	if s.before, err = server.Tree.Memory(); err != nil {
		return err
	}

	conns, err := open(ctx, to, o.conns)
	defer func() {
		for _, c := range conns {
			c.end()
		}
	}()
	if err != nil {
		return err
	}
	used, _ := server.Tree.CPU()
	began := time.Now()
	if err := program.Sleep(ctx, o.hold); err != nil {
		return err
	}
	usedAfter, processes := server.Tree.CPU()
	s.processes = processes
	if o.hold > 0 {
		s.idleCPU = float64(usedAfter-used) / float64(time.Since(began))
	}
	if s.after, err = server.Tree.Memory(); err != nil {
		return err
	}
	for _, c := range conns {
		if !alive(c.Conn) {
			s.closed++
		}
	}
	if s.fresh, err = freshLatencies(ctx, to, o.samples); err != nil {
		return err
	}
	if s.closed == 0 {
		s.awake, err = awakeLatencies(ctx, conns, o.samples)
	}
	return err
}

// each calls work n times from several goroutines, and returns the first error. It starts no more calls after an error.
func each(ctx context.Context, n int, work func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(dialers, n) {
		group.Go(func() {
			for i := range next {
				if err := work(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// warm sends requests over several connections, so that the server has set up everything that it sets up on first use.
func warm(ctx context.Context, to target) error {
	return each(ctx, dialers, func(int) error {
		c, err := to.dial(ctx)
		if err != nil {
			return err
		}
		defer c.end()
		for range warmRequests / dialers {
			if err := c.ask(); err != nil {
				return err
			}
		}
		return nil
	})
}

// open returns n connections, each of which has been used for one request. With an error it still returns the
// connections opened so far.
func open(ctx context.Context, to target, n int) ([]client, error) {
	slots := make([]client, n)
	err := each(ctx, n, func(i int) error {
		c, err := to.dialFrom(ctx, addressOf(i))
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		slots[i] = c
		if err := c.ask(); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		return nil
	})
	conns := make([]client, 0, n)
	for _, c := range slots {
		if c.Conn != nil {
			conns = append(conns, c)
		}
	}
	return conns, err
}

// freshLatencies measures dial, handshake, request and answer, one after another.
func freshLatencies(ctx context.Context, to target, n int) ([]float64, error) {
	out := make([]float64, 0, n)
	for range n {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		began := time.Now()
		c, err := to.dial(ctx)
		if err != nil {
			return out, err
		}
		err = c.ask()
		out = append(out, float64(time.Since(began)))
		c.end()
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// awakeLatencies measures request and answer on idle connections that are picked at random.
func awakeLatencies(ctx context.Context, conns []client, n int) ([]float64, error) {
	out := make([]float64, 0, n)
	for _, i := range rand.Perm(len(conns))[:min(n, len(conns))] {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		began := time.Now()
		if err := conns[i].ask(); err != nil {
			return out, err
		}
		out = append(out, float64(time.Since(began)))
	}
	return out, nil
}

// addressOf returns the address from which connection i comes. All of 127.0.0.0/8 belongs to the loopback device.
func addressOf(i int) net.IP { return net.IPv4(127, 0, 0, byte(1+i/connsPerAddress)) }

// alive reports whether the peer has neither closed the connection nor sent anything.
func alive(conn net.Conn) bool {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = err == syscall.EAGAIN
	})
	return err == nil && open
}
