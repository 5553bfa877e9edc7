package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

const (
	// patience bounds each step.
	patience = 30 * time.Second
	// requestsPerWorker is how many requests a worker answers, about, before its memory is measured again.
	requestsPerWorker = 200
)

// observation holds the measurements of one round.
type observation struct {
	firstReady time.Duration // from the start of the server
	perWorker  time.Duration // between one worker and the next
	replaced   time.Duration
	reload     time.Duration
	failed     int // requests during the reload
	fresh      memory
	used       memory
}

// memory is that of the median worker, in KiB.
type memory struct{ private, pss float64 }

// note is what a worker writes when it is ready.
type note struct {
	pid int
	at  time.Duration // of the monotonic clock
}

// monotonic returns the time of the clock that the workers note.
func monotonic() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano()), err
}

// observe starts a server, measures it, and stops it.
func observe(ctx context.Context, o options) (seen observation, err error) {
	work, err := servers.FindWorkload("hello")
	if err != nil {
		return seen, err
	}
	work.Name = "workers" // its script; the request is the same
	dir, err := os.MkdirTemp(o.settings.Temp, "notes-")
	if err != nil {
		return seen, err
	}
	notes := filepath.Join(dir, "ready")
	o.settings.MbserveOptions = []string{notes, strconv.Itoa(o.workers)}
	began, err := monotonic()
	if err != nil {
		return seen, err
	}
	err = o.settings.Use("mbserve", work, func(server *servers.Server) error { return seen.observe(ctx, o, server, notes, began) })
	return seen, err
}

func (s *observation) observe(ctx context.Context, o options, server *servers.Server, notes string, began time.Duration) error {
	ready, err := await(ctx, notes, o.workers)
	if err != nil {
		return err
	}
	s.firstReady, s.perWorker = startTimes(began, ready)
	if s.fresh, err = memoryOf(server, ready); err != nil {
		return err
	}
	if err := load(ctx, server.Address, o.workers); err != nil {
		return err
	}
	if s.used, err = memoryOf(server, ready); err != nil {
		return err
	}
	if s.replaced, err = replace(ctx, notes, ready); err != nil {
		return err
	}
	s.reload, s.failed, err = reload(ctx, server)
	return err
}

// parseNotes reads what the workers have written. The last line may be incomplete.
func parseNotes(text string) (all []note, err error) {
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		pid, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		n := note{}
		var atErr error
		var micros int64
		n.pid, err = strconv.Atoi(pid)
		micros, atErr = strconv.ParseInt(at, 10, 64)
		if err = errors.Join(err, atErr); err != nil {
			return nil, fmt.Errorf("note of a worker %q: %w", line, err)
		}
		n.at = time.Duration(micros) * time.Microsecond
		all = append(all, n)
	}
	return all, nil
}

// await waits until n workers have been ready.
func await(ctx context.Context, path string, n int) ([]note, error) {
	for deadline := time.Now().Add(patience); ; {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		all, err := parseNotes(string(text))
		if err != nil || len(all) >= n {
			return all, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d workers are ready after %v, want %d", len(all), patience, n)
		}
		if err := program.Sleep(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// startTimes returns the time from began to the first worker, and the mean time from one worker to the next.
func startTimes(began time.Duration, ready []note) (first, perWorker time.Duration) {
	earliest, latest := ready[0].at, ready[0].at
	for _, n := range ready {
		earliest, latest = min(earliest, n.at), max(latest, n.at)
	}
	return earliest - began, (latest - earliest) / time.Duration(len(ready)-1)
}

func memoryOf(server *servers.Server, workers []note) (memory, error) {
	each, err := server.Tree.MemoryOfEach()
	if err != nil {
		return memory{}, err
	}
	var private, pss []float64
	for _, n := range workers {
		m, there := each[n.pid]
		if !there {
			return memory{}, fmt.Errorf("worker %d has ended", n.pid)
		}
		private = append(private, float64(m.Private)/1024)
		pss = append(pss, float64(m.PSS)/1024)
	}
	return memory{stats.Quantile(private, 0.5), stats.Quantile(pss, 0.5)}, nil
}

// load sends requests over as many connections as there are workers, so that all of them have some.
func load(ctx context.Context, address string, workers int) error {
	request := probe.Request("GET", address, "/", nil)
	failures := make(chan error, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			c, err := probe.Dial(address, patience)
			if err != nil {
				failures <- err
				return
			}
			defer c.Close()
			for i := 0; i < requestsPerWorker && ctx.Err() == nil; i++ {
				if _, err := c.AskOK(request); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failures)
	return errors.Join(<-failures, ctx.Err())
}

// replace kills a worker and returns the time until its successor is ready.
func replace(ctx context.Context, notes string, ready []note) (time.Duration, error) {
	began, err := monotonic()
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(ready[0].pid, syscall.SIGKILL); err != nil {
		return 0, err
	}
	all, err := await(ctx, notes, len(ready)+1)
	if err != nil {
		return 0, err
	}
	return all[len(ready)].at - began, nil
}

// reload has the script loaded again while a client sends one request after the other, and returns the time until the
// first answer of the new workers, and the number of requests that failed.
func reload(ctx context.Context, server *servers.Server) (took time.Duration, failed int, err error) {
	request := probe.Request("GET", server.Address, "/", nil)
	c, err := probe.Dial(server.Address, patience)
	if err != nil {
		return 0, 0, err
	}
	defer func() { c.Close() }()
	before, err := c.AskOK(request)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := server.Signal(syscall.SIGHUP); err != nil {
		return 0, 0, err
	}
	for ctx.Err() == nil {
		answer, err := c.AskOK(request)
		took = time.Since(began)
		switch {
		case err == nil && !bytes.Equal(answer.Body, before.Body):
			return took, failed, nil
		case took > patience:
			return took, failed, fmt.Errorf("no answer of the new script within %v", patience)
		case err == nil:
			continue
		}
		failed++
		c.Close()
		next, err := probe.Dial(server.Address, patience)
		if err != nil {
			return took, failed, err
		}
		c = next
	}
	return took, failed, ctx.Err()
}
