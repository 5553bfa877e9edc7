package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/cmd/mbserve/crash"
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/pool"
	"moonbridge/handler/worker"
)

// crashSide is what the server has for records of failed requests. Without --crash-dir there is none, and its methods do nothing.
type crashSide struct {
	s       *server
	store   *crash.Store
	program string

	lost atomic.Uint64 // failures that have left no record because there were too many

	mu     sync.Mutex
	traced time.Time // when a core was last looked at
}

// openCrashes opens the directory for records.
func (s *server) openCrashes() (err error) {
	if s.o.crashDir == "" {
		return nil
	}
	c := &crashSide{s: s}
	o := crash.Options{Files: s.o.crashFiles, Bytes: int64(s.o.crashBytes), User: os.Geteuid(), Group: os.Getegid()}
	if s.credential != nil {
		o.User, o.Group = int(s.credential.Uid), int(s.credential.Gid)
	}
	if c.store, err = crash.Open(s.o.crashDir, o); err != nil {
		return fmt.Errorf("--crash-dir: %w", err)
	}
	c.program, _ = os.Executable()
	s.crashes = c
	if s.admin != nil {
		s.admin.registry.Add(c.writeFigures)
	}
	return nil
}

// options adds what a generation's host calls for each failure.
func (c *crashSide) options(cfg *pool.Config) {
	if c != nil {
		generation := cfg.Generation
		cfg.Crashed = func(one *pool.Crash) { c.record(one, generation) }
		cfg.CrashLost = func() { c.lost.Add(1) }
	}
}

// record writes a record.
func (c *crashSide) record(one *pool.Crash, generation int) {
	r := recordOf(one)
	dir, _ := os.Getwd() // it may change at a reload
	r.Server = crash.Server{
		Version: version, Lua: worker.Version(), Program: c.program, Script: c.s.o.script, Args: c.s.o.args, Directory: dir, Generation: generation,
	}
	if r.Request != nil && !c.s.o.crashUnmask {
		crash.NewMask(c.s.o.crashMask).Request(r.Request)
	}
	c.addBacktrace(r, one)
	if name, err := c.store.Write(r); err != nil {
		c.s.log.Warn("crash not recorded", "crash", r.ID, "err", err)
	} else {
		c.s.log.Debug("crash recorded", "crash", r.ID, "file", name)
	}
}

// recordOf is what a pool knows.
func recordOf(one *pool.Crash) *crash.Record {
	r := &crash.Record{
		ID: one.ID, Time: one.Time, Cause: one.Cause, Kind: one.Kind, Name: one.Name,
		Figures: crash.Figures{
			Waited: one.Waited.Seconds(), Running: one.Running.Seconds(), Phase: one.Phase, Retried: one.Retried,
		},
		Worker:  crash.Worker{PID: one.PID, Age: one.Age.Seconds(), Exchanges: one.Exchanges, Memory: one.Memory, End: one.End},
		Message: one.Message, Traceback: crash.Lines(one.Traceback), Log: one.Lines,
	}
	if one.Kind != "interval" && one.Kind != "main" {
		r.Request = &crash.Request{
			Pool: one.Pool, Listener: one.Listener, Client: one.Client, ID: one.RequestID, Trace: one.TraceID, Secure: one.Secure,
			Head: one.Head, Body: one.Body, Length: one.BodyLength, Cut: !one.BodyWhole,
		}
	}
	return r
}

// backtraceEvery is how often a core is looked at: a debugger takes seconds.
const backtraceEvery = time.Minute

// crashSignals are the ends that leave a core.
var crashSignals = map[string]bool{
	"signal SIGSEGV": true, "signal SIGABRT": true, "signal SIGBUS": true, "signal SIGILL": true, "signal SIGFPE": true,
	"signal SIGTRAP": true, "signal SIGSYS": true, "signal SIGQUIT": true,
}

// addBacktrace adds the backtrace of a process that has crashed.
func (c *crashSide) addBacktrace(r *crash.Record, one *pool.Crash) {
	if !crashSignals[one.End] {
		return
	}
	core := crash.Core{Dumped: one.Core, PID: one.PID, Ended: time.Now(), Program: c.program, Dir: r.Server.Directory, Pattern: crash.Pattern()}
	if one.Core && !c.mayTrace() {
		r.NoCore = fmt.Sprintf("one was made less than %v ago; gdb %s CORE shows it", backtraceEvery, c.program)
		return
	}
	text, missing := core.Backtrace()
	r.Backtrace, r.NoCore = crash.Lines(text), missing
}

func (c *crashSide) mayTrace() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.traced) < backtraceEvery {
		return false
	}
	c.traced = now
	return true
}

// logStats logs the figures.
func (c *crashSide) logStats() {
	if c == nil {
		return
	}
	f := c.store.Figures()
	c.s.log.Info("crash records", "written", f.Written, "failed", f.Failed, "dropped", c.lost.Load(), "removed", f.Removed,
		"files", f.Files, "bytes", f.Bytes)
}

// writeFigures writes them for /metrics.
func (c *crashSide) writeFigures(w *metrics.Writer) {
	f := c.store.Figures()
	w.Counters("moonbridge_crash_records_total", "Records of failed requests, by what has become of them.", "result",
		map[string]uint64{"written": f.Written, "failed": f.Failed, "dropped": c.lost.Load(), "removed": f.Removed})
	w.Gauge("moonbridge_crash_files", "Records in the directory when one was last written.", float64(f.Files))
	w.Gauge("moonbridge_crash_bytes", "Bytes of these records.", float64(f.Bytes))
}
