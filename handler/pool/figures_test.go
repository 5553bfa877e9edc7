package pool

import (
	"testing"
	"time"
)

// What is seen of an exchange that a worker has, and of one that waits.
func TestRunning(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	release := r.occupy()
	second := r.send(&request{target: "hello?x"})
	var got []Running
	eventually(t, "two exchanges", func() bool {
		got = r.p.Running(10, time.Minute)
		return len(got) == 2
	})
	pid := r.h.pids()[0]
	if a := got[0]; a.Kind != "http" || a.Method != "GET" || a.Path != "/hold" || a.PID != pid || a.Slot != 0 || a.Running <= 0 || a.Phase != "no response yet" {
		t.Errorf("running: %+v", a)
	}
	if b := got[1]; b.Path != "/hello" || b.Slot != -1 || b.PID != 0 || b.Running != 0 || b.Waited <= 0 {
		t.Errorf("waiting: %+v", b)
	}
	if few := r.p.Running(1, time.Minute); len(few) != 1 || few[0].PID != pid {
		t.Errorf("limited to one: %+v", few)
	}
	eventually(t, "the worker is seen to be busy", func() bool { return r.p.Workers()[0].State == "busy" })
	if w := r.p.Workers(); len(w) != 1 || w[0].PID != pid || w[0].Age <= 0 {
		t.Errorf("workers: %+v", w)
	}
	release()
	second.wait()
	r.quiet()
	if got := r.p.Running(10, time.Minute); len(got) != 0 {
		t.Errorf("at the end: %+v", got)
	}
	eventually(t, "the worker is seen to be idle", func() bool {
		w := r.p.Workers()
		return w[0].State == "idle" && w[0].Exchanges == 2
	})
}

// A loop that does not answer is not waited for.
func TestRunningImpatient(t *testing.T) {
	r := start(t, setup{})
	held, blocks := make(chan struct{}), make(chan struct{})
	r.loops[0].Post(func() { close(held); <-blocks })
	<-held
	if got := r.p.Running(10, time.Millisecond); got != nil {
		t.Errorf("%+v", got)
	}
	close(blocks)
}

// Ends of workers are counted by their causes.
func TestEnds(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "max_requests_per_fork", 1}}})
	r.ready(1)
	r.get("hello")
	eventually(t, "replaced", func() bool { return r.p.Ends()["replaced"] == 1 })
	r.ready(1)
	if got := r.get("die"); got.status != 502 {
		t.Errorf("%+v", got)
	}
	// A worker that dies before it has taken the request dies once more with it: the request is tried again.
	eventually(t, "killed", func() bool { return r.p.Ends()["signal SIGKILL"] >= 1 })
	if n := len(r.p.Ends()); n != 2 {
		t.Errorf("%v", r.p.Ends())
	}
	failed := uint64(0)
	for event, n := range r.p.Refusals() {
		if event.Status == 502 && event.Cause == "worker ended" {
			failed += n
		}
	}
	if failed != 1 {
		t.Errorf("%v", r.p.Refusals())
	}
	r.ready(1)
	before := r.p.Stats().Exchanges
	r.stop(testPatience)
	if n := r.p.Stats().Exchanges; n != before || n < 2 {
		t.Errorf("%d exchanges after Stop, %d before", n, before)
	}
	if got := r.p.Ends(); got["stopped"] != 1 || r.p.Missing() != "is ending" {
		t.Errorf("%v, %s", got, r.p.Missing())
	}
}

func TestFaultCause(t *testing.T) {
	for why, want := range map[string]string{
		"request_timeout": "request_timeout", "on_client_gone: GET /x has not ended within 1s": "on_client_gone",
		"broken protocol: position": "broken protocol", "malformed purge": "broken protocol",
	} {
		if got := faultCause(why); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	var c counts
	for i := range 200 {
		c.countEnd(string(rune('A' + i)))
	}
	if len(c.ends) != causesMax+1 || c.ends["other"] != 200-causesMax {
		t.Errorf("%d causes, %d other", len(c.ends), c.ends["other"])
	}
}

// A pool without workers says so.
func TestMissing(t *testing.T) {
	r := start(t, setup{script: "prepare-fail", options: [][3]any{{0, "fork_error_delay", 0.05}}})
	eventually(t, "workers fail", func() bool { return r.p.Missing() == "workers end before they are ready" })
}
