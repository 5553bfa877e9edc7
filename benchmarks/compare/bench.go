package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

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

	processes int           // of the server, after the run
	serverCPU time.Duration // of all processes of the server during the run
	wrkCPU    time.Duration
	wall      time.Duration
	idleCPU   time.Duration // the highest of any server that was not loaded
	idleName  string        // the name of that server
	otherCPU  time.Duration // of the whole machine, excluding the servers and wrk
	steal     time.Duration
}

// perRequest returns microseconds per request, NaN if there was none.
func (m measurement) perRequest(cpu time.Duration) float64 {
	if m.wrk.Requests == 0 {
		return math.NaN()
	}
	return float64(cpu) / float64(time.Microsecond) / float64(m.wrk.Requests)
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
}

// run starts the servers, checks that they answer alike, and loads them in turn. result holds the measurements, even
// after an error.
func (b *bench) run(ctx context.Context) (err error) {
	b.result.workload = b.workload
	defer func() { err = errors.Join(err, b.stop()) }()
	for _, name := range b.options.servers {
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
	for round := range b.options.rounds {
		for step, conns := range b.options.conns {
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
		r.commands = append(r.commands, strings.ReplaceAll(server.Command, b.options.settings.Temp, "TMP"))
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
	load := wrk.Load{
		URL: "http://" + server.Address + "/", Threads: b.options.threads, Conns: conns,
		Duration: b.options.warmup, Script: b.workload.WrkScript(b.options.settings.Benchmarks),
	}
	if b.options.warmup > 0 {
		if _, _, err := load.Run(ctx); err != nil {
			return b.failed(server, err)
		}
	}
	load.Duration = b.options.duration
	m := measurement{server: server.Name, conns: conns, round: round}
	before, err := b.read()
	if err != nil {
		return err
	}
	if m.wrk, m.wrkCPU, err = load.Run(ctx); err != nil {
		return b.failed(server, err)
	}
	after, err := b.read()
	if err != nil {
		return err
	}
	if !server.Running() {
		return b.failed(server, errors.New("it ended under load"))
	}
	m.account(before, after)
	b.result.runs = append(b.result.runs, m)
	fmt.Fprintf(b.progress, "%-9s round %d  %5d conns  %-9s %9.0f/s  p99 %-10v %6.2f µs CPU/request%s\n",
		b.workload.Name, round+1, conns, server.Name, m.wrk.PerSecond, m.wrk.P99, m.perRequest(m.serverCPU), troubles(m))
	return nil
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
	processes []int
	machine   proc.Machine
}

func (b *bench) read() (reading, error) {
	machine, err := proc.ReadMachine()
	if err != nil {
		return reading{}, err
	}
	r := reading{at: time.Now(), machine: machine}
	for _, server := range b.servers {
		used, processes := server.Tree.CPU()
		r.names = append(r.names, server.Name)
		r.used = append(r.used, used)
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
	known := m.wrkCPU
	for i, name := range after.names {
		used := after.used[i] - before.used[i]
		known += used
		switch {
		case name == m.server:
			m.serverCPU, m.processes = used, after.processes[i]
		case used >= m.idleCPU:
			m.idleCPU, m.idleName = used, name
		}
	}
	m.otherCPU = max(machine.Busy-known, 0)
}
