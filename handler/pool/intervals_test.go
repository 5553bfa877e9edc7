package pool

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/pool/listen/listentest"
)

// timerOf is the interval of a generation, without a pool that could run a tick.
func timerOf(in *Intervals, name string, delay time.Duration, strict bool) *interval {
	t := &interval{l: &loop{on: &stillLoop{}, closed: true}, id: TimerID{Name: name}, spec: &listen.Listener{Name: name, Delay: delay, Strict: strict}}
	in.claim(t)
	return t
}

func (in *Intervals) wantNext(t *testing.T, of *interval, now, want int64) {
	t.Helper()
	if due, ok := in.next(of, now); !ok || due != want {
		t.Errorf("next tick: %d, %v; want %d", due, ok, want)
	}
}

func (in *Intervals) wantWait(t *testing.T, of *interval) {
	t.Helper()
	if due, ok := in.next(of, 0); ok {
		t.Errorf("a tick is set to %d", due)
	}
	if in.begin(of) {
		t.Error("a tick begins")
	}
}

// A timer keeps its rhythm from one generation to the next.
func TestIntervalTakenOver(t *testing.T) {
	in := NewIntervals()
	first := timerOf(in, "a", 100, false)
	in.wantNext(t, first, 1000, 1100)
	second := timerOf(in, "a", 100, false)
	in.wantWait(t, first)
	in.wantNext(t, second, 1050, 1100)
	in.release(first)
	in.wantNext(t, second, 1060, 1100)

	sooner := timerOf(in, "a", 10, false)
	in.wantNext(t, sooner, 1070, 1080)
	later := timerOf(in, "a", 10000, false)
	in.wantNext(t, later, 1075, 1080)

	other := timerOf(in, "b", 100, false)
	in.wantNext(t, other, 1075, 1175)
	for _, c := range []*interval{second, sooner, later, other} {
		in.release(c)
	}
	if n := len(in.rhythms); n != 0 {
		t.Errorf("%d timers are remembered", n)
	}
}

// A generation that does not come into use gives the timer back.
func TestIntervalGivenBack(t *testing.T) {
	in := NewIntervals()
	first := timerOf(in, "a", 100, true)
	in.wantNext(t, first, 1000, 1100)
	second := timerOf(in, "a", 50, true)
	in.wantNext(t, second, 1010, 1060)
	in.wantWait(t, first)
	in.release(second)
	in.wantWait(t, second)
	in.wantNext(t, first, 1020, 1060)
}

// While a tick of one generation is running, the other one waits. Then the new generation's delay counts.
func TestIntervalDoesNotOverlap(t *testing.T) {
	for _, strict := range []bool{false, true} {
		in := NewIntervals()
		first := timerOf(in, "a", 100, false)
		in.wantNext(t, first, 1000, 1100)
		if !in.begin(first) {
			t.Fatal("the first tick does not begin")
		}
		in.wantWait(t, first)
		second := timerOf(in, "a", 60, strict)
		in.wantWait(t, second)
		in.release(first)
		in.wantWait(t, second)
		in.end(first.id)
		want := int64(1130 + 60)
		if strict {
			want = 1100 + 60
		}
		in.wantNext(t, second, 1130, want)
		if !in.begin(second) || in.begin(second) {
			t.Error("the second tick does not begin, or begins twice")
		}
	}
}

// heir is the Intervals of a process that replaces another one.
func heir(from *Intervals) (to *Intervals, pass func()) {
	to = NewIntervals()
	to.Await()
	return to, func() {
		from.HandOver(to.Hear)
		to.Known()
	}
}

func TestIntervalHandedOver(t *testing.T) {
	old := NewIntervals()
	running, set := timerOf(old, "running", 100, false), timerOf(old, "set", 100, false)
	old.wantNext(t, running, 1000, 1100)
	old.wantNext(t, set, 1000, 1100)
	if !old.begin(running) {
		t.Fatal("the tick does not begin")
	}
	in, pass := heir(old)
	waits, goesOn, fresh := timerOf(in, "running", 100, false), timerOf(in, "set", 100, false), timerOf(in, "fresh", 100, false)
	for _, c := range []*interval{waits, goesOn, fresh} {
		in.wantWait(t, c)
	}
	pass()
	old.wantWait(t, set)
	in.wantWait(t, waits)
	in.wantNext(t, goesOn, 1050, 1100)
	in.wantNext(t, fresh, 1050, 1150)

	// A third process waits for the first one's tick as well.
	third, pass := heir(in)
	last := timerOf(third, "running", 100, false)
	pass()
	third.wantWait(t, last)
	if third.Foreign(); !third.Foreign() || !in.running() {
		t.Error("the tick is not known to be running")
	}
	old.end(running.id)
	third.wantNext(t, last, 1130, 1230)
	if third.Foreign() || in.running() {
		t.Error("the tick is believed to be running")
	}
	ended, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if old.Quiet(ended); ended.Err() != nil {
		t.Error("ticks are believed to be running in the first process")
	}
}

// A process that has ended is not waited for, whatever it was running, even if it has said nothing.
func TestIntervalOfDeadProcess(t *testing.T) {
	in, _ := heir(NewIntervals())
	c := timerOf(in, "a", 100, false)
	in.wantWait(t, c)
	in.Gone()
	in.wantNext(t, c, 1000, 1100)

	old := NewIntervals()
	first := timerOf(old, "a", 100, true)
	old.wantNext(t, first, 1000, 1100)
	old.begin(first)
	in, pass := heir(old)
	c = timerOf(in, "a", 100, true)
	pass()
	in.wantWait(t, c)
	in.Gone()
	in.wantNext(t, c, 1250, 1300)
}

// ticking is a pool without processes whose only timer has a tick in the queue.
func ticking(t *testing.T) (s *still, in *Intervals, due int64) {
	s = newStill(t, 1, [3]any{2, "proto", "interval"}, [3]any{2, "delay", 0.001}, [3]any{2, "name", "a"}, [3]any{2, "connect", listentest.Func{}})
	s.turn(time.Millisecond)
	in = s.l.p.h.cfg.Intervals
	if !in.running() || s.l.waiting() != 1 {
		t.Fatal("no tick waits")
	}
	return s, in, in.rhythms[TimerID{Name: "a"}].due
}

// givenUp are the ways in which a pool gives up its timers: another host runs them then. heir returns the new one's.
var givenUp = map[string]func(s *still, in *Intervals) (to *Intervals, heir *interval){
	"stop": func(s *still, in *Intervals) (*Intervals, *interval) {
		heir := timerOf(in, "a", time.Hour, false)
		s.l.p.refuse()
		return in, heir
	},
	"hand over": func(s *still, in *Intervals) (*Intervals, *interval) {
		to, pass := heir(in)
		heir := timerOf(to, "a", time.Hour, false)
		pass()
		return to, heir
	},
}

// A tick that no worker has begun begins where the timer runs next. No worker may be left for it where it was to begin.
func TestTickTakenBack(t *testing.T) {
	for name, giveUp := range givenUp {
		t.Run(name, func(t *testing.T) {
			s, in, due := ticking(t)
			to, heir := giveUp(s, in)
			if _, ok := s.peers[0].Claim(); ok || s.l.waiting() != 0 || len(s.l.cells.inUse) != 0 {
				t.Error("the tick is still in the queue")
			}
			to.wantNext(t, heir, due+1, due)
			if in.running() || !to.begin(heir) {
				t.Error("the tick does not begin")
			}
		})
	}
}

// A tick that a worker has begun ends where it is.
func TestTickNotTakenBack(t *testing.T) {
	for name, giveUp := range givenUp {
		t.Run(name, func(t *testing.T) {
			s, in, due := ticking(t)
			c := s.claim(0)
			to, heir := giveUp(s, in)
			to.wantWait(t, heir)
			s.answer(0, c, 0)
			s.turn(0)
			to.wantNext(t, heir, due+1, due+1+int64(time.Hour))
		})
	}
}

func TestTimerID(t *testing.T) {
	timer := func(name string) listen.Listener { return listen.Listener{Proto: "interval", Name: name} }
	spec := &listen.Spec{Listeners: []listen.Listener{timer("a"), {Proto: "tcp4"}, timer(""), timer(""), timer("a"), {Proto: "main", Name: "a"}}}
	h := &Host{}
	for i := range 2 {
		h.pools = append(h.pools, &Pool{h: h, index: i, spec: spec})
	}
	want := map[[2]int]TimerID{
		{0, 0}: {"a", 0, false, 0}, {0, 4}: {"a", 0, false, 1}, {1, 0}: {"a", 0, false, 2}, {1, 4}: {"a", 0, false, 3},
		{0, 2}: {"", 0, false, 0}, {0, 3}: {"", 0, false, 1}, {1, 2}: {"", 1, false, 0}, {1, 3}: {"", 1, false, 1},
		{0, 5}: {"a", 0, true, 0}, {1, 5}: {"a", 0, true, 1},
	}
	for at, id := range want {
		if got := h.pools[at[0]].timerID(at[1]); got != id {
			t.Errorf("pool %d, listener %d: %+v, want %+v", at[0], at[1], got, id)
		}
	}
}

// jobTimer is a pool with a timer that writes to a file, and one that shows that time passes.
func jobTimer(job, pulse string, in *Intervals, more ...[3]any) setup {
	return setup{intervals: in, options: append([][3]any{
		{2, "proto", "interval"}, {2, "delay", 0.001}, {2, "name", job}, {2, "connect", listentest.Func{}},
		{3, "proto", "interval"}, {3, "delay", 0.001}, {3, "name", pulse}, {3, "connect", listentest.Func{}},
	}, more...)}
}

func lines(name, word string) int {
	b, _ := os.ReadFile(name)
	return strings.Count(string(b), word)
}

// beats waits for some ticks of the second timer.
func beats(t *testing.T, pulse string) {
	t.Helper()
	before := lines(pulse, "\n")
	eventually(t, "the other timer ticks", func() bool { return lines(pulse, "\n") >= before+10 })
}

// Hosts that replace each other never run ticks of one timer at the same time, however the old one ends.
func TestIntervalOverReload(t *testing.T) {
	for _, end := range []string{"tick ends", "host is killed", "new host is killed"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			job, pulse1, pulse2 := filepath.Join(dir, "x.job"), filepath.Join(dir, "1"), filepath.Join(dir, "2")
			hold := job + ".hold"
			if err := os.WriteFile(hold, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			in := NewIntervals()
			two := [][3]any{{0, "min_fork", 2}, {0, "max_fork", 2}}
			first := start(t, jobTimer(job, pulse1, in, two...))
			first.ready(2)
			eventually(t, "the tick begins", func() bool { return lines(job, "begins") == 1 })
			second := start(t, jobTimer(job, pulse2, in, two...))
			beats(t, pulse1)
			beats(t, pulse2)
			if n := lines(job, "begins"); n != 1 {
				t.Errorf("%d ticks are running", n)
			}
			switch end {
			case "tick ends":
				os.Remove(hold)
				first.stop(testPatience)
			case "host is killed":
				first.h.Kill()
				eventually(t, "a tick begins in the new host", func() bool { return lines(job, "begins") == 2 })
				os.Remove(hold)
			case "new host is killed":
				second.h.Kill()
				beats(t, pulse1)
				os.Remove(hold)
			}
			eventually(t, "the timer goes on", func() bool { return lines(job, "ends") >= 5 })
			if lines(job, "overlaps") > 0 {
				t.Error("ticks overlap")
			}
		})
	}
}

// A tick that is longer than request_timeout is over when its worker is gone, not when that is told to end.
func TestOverdueTickDoesNotOverlap(t *testing.T) {
	dir := t.TempDir()
	job := filepath.Join(dir, "x.job")
	if err := os.WriteFile(job+".hold", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, jobTimer(job, filepath.Join(dir, "pulse"), nil, [3]any{0, "request_timeout", 0.03}, [3]any{0, "min_fork", 4}))
	eventually(t, "some ticks", func() bool { return lines(job, "begins") >= 3 })
	if lines(job, "overlaps") > 0 {
		t.Error("ticks overlap")
	}
	r.log.await(t, "request_timeout: ending the worker")
	if log := r.log.String(); strings.Contains(log, "lost=1") {
		t.Error("a tick that was ended counts as lost")
	}
}

// What is seen of a timer between ticks, and during one.
func TestTimerFigures(t *testing.T) {
	in := NewIntervals()
	file := filepath.Join(t.TempDir(), "ticks")
	before := time.Now()
	r := start(t, setup{intervals: in, options: [][3]any{{2, "proto", "interval"}, {2, "delay", 3600.0}, {2, "name", file},
		{2, "connect", listentest.Func{}}, {0, "max_fork", 1}}})
	var got []TimerFigures
	eventually(t, "the tick is set", func() bool {
		got = in.Timers()
		return len(got) == 1 && !got[0].Next.IsZero()
	})
	f := got[0]
	if d := f.Next.Sub(before); d < time.Hour || d > time.Hour+testPatience || f.Name != file || f.Delay != time.Hour || f.Ticks != 0 || !f.Began.IsZero() {
		t.Errorf("before the first tick: %+v", f)
	}
	release := r.occupy()
	r.loops[0].do(func() { r.lbs[0].(*loop).timers[0].fire() })
	if f = in.Timers()[0]; !f.Running || f.Ticks != 1 || f.Began.Before(before) || !f.Next.IsZero() {
		t.Errorf("during a tick: %+v", f)
	}
	release()
	eventually(t, "the tick has ended", func() bool { f = in.Timers()[0]; return !f.Running && !f.Next.IsZero() })
	if f.Took <= 0 || f.Next.Before(f.Began.Add(time.Hour)) {
		t.Errorf("after it: %+v", f)
	}
	r.stop(testPatience)
	if left := in.Timers(); len(left) != 0 {
		t.Errorf("after Stop: %+v", left)
	}
}
