package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"time"

	"moonbridge/benchmarks/internal/hogs"
	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/wrk"
)

// measurement is one run: one server under load at one number of connections.
type measurement struct {
	server string
	conns  int
	round  int
	wrk    wrk.Result
	beside wrk.Result // of the other requests meanwhile, if the workload has any

	processes int           // of the server, after the run
	switches  proc.Switches // of the server
	serverCPU time.Duration // of all processes of the server during the run
	wrkCPU    time.Duration
	upCPU     time.Duration // of the upstream that the servers share
	wall      time.Duration
	idleCPU   time.Duration // the highest of any server that was not loaded
	idleName  string        // the name of that server
	otherCPU  time.Duration // of the whole machine, excluding the servers, wrk and the busy loops
	steal     time.Duration
}

// requests is the number of answers of all kinds.
func (m measurement) requests() int { return m.wrk.Requests + m.beside.Requests }

func (m measurement) socketErrors() wrk.SocketErrors { return m.wrk.Errors.Add(m.beside.Errors) }

func (m measurement) badStatus() int { return m.wrk.BadStatus + m.beside.BadStatus }

// perRequest returns microseconds per request, NaN if there was none.
func (m measurement) perRequest(cpu time.Duration) float64 {
	return m.each(float64(cpu) / float64(time.Microsecond))
}

// switchesPerRequest returns the context switches per request, NaN if there was none.
func (m measurement) switchesPerRequest() float64 { return m.each(float64(m.switches.Total())) }

func (m measurement) each(total float64) float64 {
	if m.requests() == 0 {
		return math.NaN()
	}
	return total / float64(m.requests())
}

// workloadResult holds all results of one workload.
type workloadResult struct {
	workload servers.Workload
	names    []string
	answers  []probe.Answer // one for each name
	commands []string
	versions []string
	runs     []measurement
}

// bench compares servers with one workload.
type bench struct {
	options  options
	workload servers.Workload
	progress io.Writer
	result   workloadResult
	servers  []*servers.Server
	upstream *servers.Server // of proxies, or nil
	hogs     *hogs.Hogs
}

// run starts the servers, checks that they answer alike, and loads them in turn. result holds the measurements, even
// after an error.
func (b *bench) run(ctx context.Context) (err error) {
	b.result.workload = b.workload
	defer func() { err = errors.Join(err, b.stop()) }()
	if name := b.workload.Upstream(); name != "" {
		if b.upstream, err = b.options.settings.Start(name, b.workload.Origin()); err != nil {
			return err
		}
		b.workload = b.workload.Through(b.upstream.Address)
	}
	for _, name := range b.options.serversOf(b.workload) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		server, err := b.options.settings.Start(name, b.workload)
		if err != nil {
			return err
		}
		b.servers = append(b.servers, server)
	}
	if err := b.verify(); err != nil {
		return err
	}
	if b.hogs, err = hogs.Start(b.options.hogs); err != nil {
		return err
	}
	defer b.hogs.Stop()
	for round := range b.options.rounds {
		for step, conns := range b.options.connsOf(b.workload) {
			for turn := range b.servers {
				// A different server starts each time, so that no server always follows the same other one.
				server := b.servers[(turn+step+round)%len(b.servers)]
				if err := b.turn(ctx, server, conns, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *bench) stop() error {
	var all []error
	for _, server := range b.servers {
		all = append(all, server.Stop())
	}
	if b.upstream != nil {
		all = append(all, b.upstream.Stop())
	}
	return errors.Join(all...)
}

// verify returns an error if the servers do not answer alike.
func (b *bench) verify() error {
	r := &b.result
	for _, server := range b.servers {
		answer, err := server.Fetch(b.workload)
		if err != nil {
			return err
		}
		r.names = append(r.names, server.Name)
		r.answers = append(r.answers, answer)
		r.commands = append(r.commands, b.options.settings.Relative(server.Command))
		r.versions = append(r.versions, server.Versions)
	}
	if err := b.workload.Expected(r.answers[0]); err != nil {
		return fmt.Errorf("%s: %w", r.names[0], err)
	}
	if err := b.workload.Compare(r.names, r.answers); err != nil {
		return fmt.Errorf("the servers do not answer alike, so there is nothing to compare:\n%w", err)
	}
	return nil
}

// turn warms up one server and measures it.
func (b *bench) turn(ctx context.Context, server *servers.Server, conns, round int) error {
	m := measurement{server: server.Name, conns: conns, round: round}
	if b.options.warmup > 0 {
		if err := b.load(ctx, server, &m, b.options.warmup); err != nil {
			return b.failed(server, err)
		}
	}
	before, err := b.read()
	if err != nil {
		return err
	}
	if err := b.load(ctx, server, &m, b.options.duration); err != nil {
		return b.failed(server, err)
	}
	after, err := b.read()
	if err != nil {
		return err
	}
	switch {
	case !server.Running():
		return b.failed(server, errors.New("it ended under load"))
	case b.upstream != nil && !b.upstream.Running():
		return b.failed(b.upstream, errors.New("it ended under load"))
	case !b.hogs.Running():
		return errors.New("a busy loop has ended")
	}
	m.account(before, after)
	b.result.runs = append(b.result.runs, m)
	fmt.Fprintf(b.progress, "%-10s round %d  %5d conns  %-9s %9.0f/s  p99 %-10v %6.2f µs CPU and %4.2f switches a request%s\n",
		b.workload.Name, round+1, conns, server.Name, m.wrk.PerSecond, m.wrk.P99, m.perRequest(m.serverCPU), m.switchesPerRequest(), troubles(m))
	return server.EmptyAccessLog()
}

// load sends requests to a server and sets the results in m.
func (b *bench) load(ctx context.Context, server *servers.Server, m *measurement, duration time.Duration) (err error) {
	url := b.workload.URL(server.Address, b.workload.Path())
	load := wrk.Load{URL: url, Threads: b.options.threads, Conns: m.conns, Duration: duration, Pin: b.pinLoad,
		Script: b.workload.WrkScript(b.options.settings.Benchmarks)}
	if b.options.lean {
		load.Program = b.options.settings.LeanPath()
	}
	if b.workload.Beside == "" {
		m.wrk, m.wrkCPU, err = load.Run(ctx)
		if b.workload.NoTimes {
			m.wrk.P50, m.wrk.P99, m.wrk.Max = 0, 0, 0
		}
		return err
	}
	load.URL = b.workload.URL(server.Address, b.workload.Beside)
	script := load.Script
	load.Threads, load.Conns, load.Script = 1, servers.BesideConns, b.workload.BesideScript(b.options.settings.Benchmarks)
	var besideCPU time.Duration
	ended := make(chan error)
	go func(load wrk.Load) {
		var err error
		m.beside, besideCPU, err = load.Run(ctx)
		ended <- err
	}(load)
	load.URL, load.Threads, load.Conns, load.Script = url, b.options.threads, m.conns, script
	m.wrk, m.wrkCPU, err = load.Run(ctx)
	err = errors.Join(err, <-ended)
	m.wrkCPU += besideCPU
	return err
}

func (b *bench) pinLoad(cmd *exec.Cmd) (*exec.Cmd, error) {
	return b.options.settings.Pin(cmd, false)
}

func (b *bench) failed(server *servers.Server, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted by a signal")
	}
	err = fmt.Errorf("%s, workload %s: %w", server.Name, b.workload.Name, err)
	if !server.Running() {
		err = fmt.Errorf("%w; the server is gone:\n%s", err, server.LogTail())
	}
	return err
}

// reading holds the CPU times at one moment.
type reading struct {
	at        time.Time
	names     []string
	used      []time.Duration // of each server
	switches  []proc.Switches
	processes []int
	hogs      time.Duration
	upstream  time.Duration
	machine   proc.Machine
}

func (b *bench) read() (reading, error) {
	machine, err := proc.ReadMachine()
	if err != nil {
		return reading{}, err
	}
	r := reading{at: time.Now(), machine: machine, hogs: b.hogs.CPU()}
	if b.upstream != nil {
		r.upstream, _ = b.upstream.Tree.CPU()
	}
	for _, server := range b.servers {
		used, processes := server.Tree.CPU()
		r.names = append(r.names, server.Name)
		r.used = append(r.used, used)
		r.switches = append(r.switches, server.Tree.Switches())
		r.processes = append(r.processes, processes)
	}
	return r, nil
}

// account splits the CPU time between two readings: the loaded server, the busiest of the others, and the rest of the
// machine.
func (m *measurement) account(before, after reading) {
	m.wall = after.at.Sub(before.at)
	machine := after.machine.Sub(before.machine)
	m.steal = machine.Steal
	m.upCPU = after.upstream - before.upstream
	known := m.wrkCPU + m.upCPU + after.hogs - before.hogs
	for i, name := range after.names {
		used := after.used[i] - before.used[i]
		known += used
		switch {
		case name == m.server:
			m.serverCPU, m.processes = used, after.processes[i]
			m.switches = after.switches[i].Sub(before.switches[i])
		case used >= m.idleCPU:
			m.idleCPU, m.idleName = used, name
		}
	}
	m.otherCPU = max(machine.Busy-known, 0)
}
