package pool

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"moonbridge/handler/shm"
)

// startCrashes is a rig whose failures come from a channel.
func startCrashes(t *testing.T, s setup) (*rig, chan *Crash) {
	t.Helper()
	crashes := make(chan *Crash, 100)
	s.crashed = func(c *Crash) { crashes <- c }
	s.options = append(s.options, [3]any{0, "fork_error_delay", 0.01})
	return start(t, s), crashes
}

func nextCrash(t *testing.T, crashes chan *Crash) *Crash {
	t.Helper()
	select {
	case c := <-crashes:
		return c
	case <-time.After(testPatience):
		t.Fatal("no failure is passed on")
		return nil
	}
}

// What becomes of requests whose handler or worker fails.
func TestCrashes(t *testing.T) {
	r, crashes := startCrashes(t, setup{})
	field := [][2]string{{"X-A", "b"}}
	for _, c := range []struct {
		name string
		q    request
		want Crash
	}{
		{"an error", request{method: "POST", target: "fail?q=1", body: []byte("body"), fields: field},
			Crash{Cause: "error", BodyLength: 4, BodyWhole: true, Body: []byte("body"), Message: "x.lua:1: failed", Traceback: "stack traceback:\n\tx.lua:1"}},
		{"a worker that is killed", request{method: "POST", target: "die", fields: field},
			Crash{Cause: "signal SIGKILL", End: "signal SIGKILL", BodyWhole: true}},
		{"a worker that exits", request{method: "POST", target: "exit", fields: field}, Crash{Cause: "status 0", End: "status 0", BodyWhole: true}},
		{"a broken protocol", request{method: "POST", target: "bad-head", fields: field}, Crash{Cause: "broken protocol", End: "signal SIGKILL", BodyWhole: true}},
		{"a chunked body", request{method: "POST", target: "read-die", rest: []byte("chunk"), chunked: true, fields: field},
			Crash{Cause: "signal SIGKILL", End: "signal SIGKILL", BodyLength: 5, BodyWhole: true, Body: []byte("chunk")}},
		{"a body in a file", request{method: "POST", target: "die", file: newTestFile(t, testBody(10_000)), fields: field},
			Crash{Cause: "signal SIGKILL", End: "signal SIGKILL", BodyLength: 10_000, BodyWhole: true, Body: testBody(10_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.start(t, r.loops[0], r.lbs[0]).wait()
			got := nextCrash(t, crashes)
			if got.Cause != c.want.Cause || got.End != c.want.End || got.Message != c.want.Message || got.Traceback != c.want.Traceback {
				t.Errorf("%+v", got)
			}
			if got.BodyLength != c.want.BodyLength || got.BodyWhole != c.want.BodyWhole || !bytes.Equal(got.Body, c.want.Body) {
				t.Errorf("body: %d bytes of %d, whole: %v", len(got.Body), got.BodyLength, got.BodyWhole)
			}
			if want := "POST /" + c.q.target + " HTTP/1.1\r\nX-A: b"; string(got.Head) != want || got.Kind != "http" || got.Method != "POST" {
				t.Errorf("head %q, want %q", got.Head, want)
			}
			if got.PID == 0 || got.Age <= 0 || got.Running <= 0 || got.ID == "" {
				t.Errorf("%+v", got)
			}
			r.log.await(t, "crash="+got.ID)
		})
	}
	r.quiet()
}

// A time limit is the cause, and not what follows from it.
func TestCrashOverdue(t *testing.T) {
	r, crashes := startCrashes(t, setup{options: [][3]any{{0, "request_timeout", 0.1}}})
	q := request{method: "POST", target: "hold?" + filepath.Join(t.TempDir(), "none"), body: []byte("body")}
	wantStatus(t, r.send(&q).wait(), 504)
	got := nextCrash(t, crashes)
	if got.Cause != "request_timeout" || got.End != "signal SIGKILL" || got.Path != "/hold" || string(got.Body) != "body" || got.Memory == 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, "both lines name the record", func() bool { return strings.Count(r.log.String(), "crash="+got.ID) == 2 })
}

// A request that may be given to another worker leaves a record of each.
func TestCrashRetried(t *testing.T) {
	r, crashes := startCrashes(t, setup{})
	wantStatus(t, r.get("die"), 502)
	first, second := nextCrash(t, crashes), nextCrash(t, crashes)
	if !first.Retried || second.Retried || first.ID == second.ID || first.PID == second.PID || first.Path != "/die" {
		t.Errorf("%+v\n%+v", first, second)
	}
}

// The report of an error may come after the exchange has ended, or never.
func TestCrashReportLate(t *testing.T) {
	r, crashes := startCrashes(t, setup{options: [][3]any{{0, "max_fork", 1.0}}})
	name := filepath.Join(t.TempDir(), "report")
	wantStatus(t, r.get("fail-late?"+name), 500)
	r.quiet()
	marker(name)
	if got := nextCrash(t, crashes); got.Message != "x.lua:1: failed" || got.Cause != "error" || got.End != "" {
		t.Errorf("%+v", got)
	}
	wantStatus(t, r.get("fail-die"), 500)
	if got := nextCrash(t, crashes); got.Message != "" || got.Cause != "error" || got.Path != "/fail-die" {
		t.Errorf("%+v", got)
	}
}

// The last lines of the worker's standard error are part of a record.
func TestCrashLines(t *testing.T) {
	r, crashes := startCrashes(t, setup{options: [][3]any{{0, "max_fork", 1.0}}})
	wantStatus(t, r.get("fail"), 500)
	nextCrash(t, crashes)
	r.log.await(t, "about to fail")
	r.send(&request{method: "POST", target: "die"}).wait()
	if got := nextCrash(t, crashes); !slices.Contains(got.Lines, "about to fail") {
		t.Errorf("%q", got.Lines)
	}
}

// Of a body that was larger than the window, only the beginning is known.
func TestCrashLongBody(t *testing.T) {
	r, crashes := startCrashes(t, setup{})
	body := testBody(100_000)
	r.send(&request{method: "POST", target: "read-die", rest: body}).wait()
	got := nextCrash(t, crashes)
	if got.BodyWhole || got.BodyLength != int64(len(body)) || len(got.Body) == 0 || !bytes.HasPrefix(body, got.Body) || got.Path != "/read-die" {
		t.Errorf("%d bytes of %d, whole: %v, path %q", len(got.Body), got.BodyLength, got.BodyWhole, got.Path)
	}
}

// If there are too many failures, they are counted, and their log lines name no record.
func TestCrashFlood(t *testing.T) {
	var lost atomic.Int64
	r, crashes := startCrashes(t, setup{crashLost: func() { lost.Add(1) }})
	const n = 3 * errorsBurst
	for range n {
		wantStatus(t, r.get("fail"), 500)
	}
	eventually(t, "all are counted", func() bool { return len(crashes)+int(lost.Load()) == n })
	if lost.Load() == 0 || len(crashes) < errorsBurst {
		t.Errorf("%d lost, %d passed on", lost.Load(), len(crashes))
	}
	eventually(t, "all are logged", func() bool { return strings.Count(r.log.String(), `msg="x.lua:1: failed"`) == n })
	if named := len(regexp.MustCompile(`msg="x.lua:1: failed".* crash=`).FindAllString(r.log.String(), -1)); named != len(crashes) {
		t.Errorf("%d lines name a record, %d records", named, len(crashes))
	}
}

// Nothing is kept of requests if nobody wants to know.
func TestCrashesOff(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	wantStatus(t, r.get("fail"), 500)
	wantStatus(t, r.send(&request{method: "POST", target: "die"}).wait(), 502)
	r.log.await(t, `end="signal SIGKILL"`)
	if strings.Contains(r.log.String(), "crash=") {
		t.Error("the log names records")
	}
	for _, w := range r.p.processes() {
		if w.notes != nil {
			t.Error("notes are kept")
		}
	}
}

// A callback that hangs holds up neither requests nor, for long, the end.
func TestCrashCallbackHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var lost atomic.Int64
		h := &Host{cfg: Config{Crashed: func(*Crash) { <-hang }, CrashLost: func() { lost.Add(1) }}, log: logOf(&logBuffer{}, false).p.reports.log}
		h.crashes = newCrashes(h)
		for range crashQueueMax + 10 {
			h.crashes.put(&draft{notes: &notes{}, failure: &failure{}})
		}
		synctest.Wait()
		if n := lost.Load(); n < 9 || n > 10 {
			t.Errorf("%d lost", n)
		}
		began := time.Now()
		h.crashes.end()
		if took := time.Since(began); took != crashEndTimeout {
			t.Errorf("the end took %v", took)
		}
		h.crashes.put(&draft{notes: &notes{}, failure: &failure{}})
		close(hang)
		<-h.crashes.ended
	})
}

// A worker may write to its window on some systems: whatever is in it, it is taken apart within its bounds.
func FuzzCrashWindow(f *testing.F) {
	h := shm.Head{Size: uint32(crashHeadSize) + 8, Flags: shm.HeadHasBody, ContentLength: 3, RawOff: uint32(crashHeadSize), RawLen: 5}
	f.Add(append(bytes.Clone(shm.Bytes(&h)), "GET /xyzabc"...), true)
	f.Add([]byte("short"), false)
	f.Fuzz(func(t *testing.T, window []byte, ended bool) {
		d := &draft{Crash: Crash{Kind: "http", BodyLength: -1}, window: window, ended: ended}
		d.readWindow()
		if len(d.Head)+len(d.Body) > 2*len(window) || d.BodyWhole && d.BodyLength != int64(len(d.Body)) {
			t.Errorf("%d and %d bytes of %d", len(d.Head), len(d.Body), len(window))
		}
	})
}

// What only loads a script leaves nothing running.
func TestCheckEndsCrashes(t *testing.T) {
	c := setup{crashed: func(*Crash) {}}.config(&logBuffer{})
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	if _, err := Check(ctx, c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no goroutine waits for crashes", func() bool {
		stacks := make([]byte, 1<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("pool.(*crashes).run("))
	})
}
