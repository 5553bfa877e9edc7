package upstream

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"moonbridge/httpparse"
)

// The order of smooth weighted turns: the heavy target does not get its turns in a row.
func TestRoundRobinIsSmooth(t *testing.T) {
	r := newRig(t, Options{Balance: RoundRobin()}, targets(5, 1, 1)...)
	var order strings.Builder
	for range 14 {
		v := r.take()
		order.WriteString(name(v))
		v.End(r.now, Fine)
	}
	if got := order.String(); got != "11213111121311" {
		t.Errorf("order %s", got)
	}
}

func TestRoundRobinOfAnotherLoopBeginsElsewhere(t *testing.T) {
	r := newRig(t, Options{Balance: RoundRobin()}, targets(1, 1, 1)...)
	var first []string
	for loop := range 3 {
		v, err := r.set.Picker(loop, 3).Pick(r.now, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, name(v))
	}
	if fmt.Sprint(first) != "[1 2 3]" {
		t.Errorf("the loops begin with %v", first)
	}
}

func TestRoundRobinForgetsTargetsThatAreGone(t *testing.T) {
	r := newRig(t, Options{Balance: RoundRobin()})
	for i := range 1000 {
		if err := r.set.Replace(Target{Addr: fmt.Sprintf("10.0.0.1:%d", 1+i)}, Target{Addr: "10.0.0.2:1"}); err != nil {
			t.Fatal(err)
		}
		r.counts(2)
	}
	if n := len(r.pick.balance.(*turns).credit); n > 2*2+creditsSpare+2 {
		t.Errorf("%d servers have credit", n)
	}
}

// With requests that stay, the choice of two keeps the loads together.
func TestLeastLoadLevels(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1, 1, 1)...)
	for range 400 {
		r.take()
	}
	for _, v := range r.set.Servers() {
		if n := v.Active(); n < 95 || n > 105 {
			t.Errorf("%s has %d of 400 requests", v.Addr(), n)
		}
	}
}

func TestLeastLoadOfTwoFollowsWeights(t *testing.T) {
	r := newRig(t, Options{}, targets(3, 1)...)
	for range 400 {
		r.take()
	}
	if n := r.server(0).Active(); n != 300 {
		t.Errorf("the target with weight 3 of 4 has %d of 400 requests", n)
	}
}

func TestPeakEWMAAvoidsTheSlow(t *testing.T) {
	r := newRig(t, Options{Balance: PeakEWMA(time.Second)}, targets(1, 1)...)
	fast, slow := r.server(0), r.server(1)
	fast.Answered(r.now, time.Millisecond)
	slow.Answered(r.now, 100*time.Millisecond)
	if got := r.counts(100); got["1"] != 100 {
		t.Errorf("requests by target: %v", got)
	}
	// 100 times slower is as good as 100 times more loaded.
	for fast.Active() < 150 {
		fast.begin()
	}
	if v := r.take(); v != slow {
		t.Errorf("a target with %d requests was chosen before an idle one that is slower by 100", fast.Active())
	}
}

func TestPeakEWMA(t *testing.T) {
	const decay = float64(time.Second)
	var l latency
	now := int64(time.Hour)
	near := func(what string, want time.Duration) {
		t.Helper()
		if got := time.Duration(l.at(now, decay)); got < want-want/50 || got > want+want/50 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	l.add(now, float64(10*time.Millisecond), decay)
	near("the first value", 10*time.Millisecond)
	l.add(now, float64(80*time.Millisecond), decay)
	near("a peak counts at once", 80*time.Millisecond)
	now += int64(time.Second)
	near("it sinks with time", 29430*time.Microsecond)
	l.add(now, float64(10*time.Millisecond), decay)
	near("and towards smaller values", 35752*time.Microsecond)
}

// TestHashMovesFewKeys: when a target goes, only its keys move; when it comes back, they return.
func TestHashMovesFewKeys(t *testing.T) {
	const keys = 10_000
	r := newRig(t, Options{Balance: Hash(HashPath)}, targets(1, 1, 1, 1)...)
	where := func() []string {
		var list []string
		for i := range keys {
			v, err := r.pick.Pick(r.now, HashString(fmt.Sprint(i)), nil)
			if err != nil {
				t.Fatal(err)
			}
			v.End(r.now, Fine)
			list = append(list, name(v))
		}
		return list
	}
	before := where()
	count := make(map[string]int)
	for _, at := range before {
		count[at]++
	}
	for at, n := range count {
		if n < keys/4-200 || n > keys/4+200 {
			t.Errorf("target %s has %d of %d keys", at, n, keys)
		}
	}
	all := targets(1, 1, 1, 1)
	if err := r.set.Replace(all[:3]...); err != nil {
		t.Fatal(err)
	}
	for i, at := range where() {
		if before[i] != "4" && at != before[i] {
			t.Fatalf("key %d has moved from %s to %s", i, before[i], at)
		}
	}
	if err := r.set.Replace(all...); err != nil {
		t.Fatal(err)
	}
	if got := where(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Error("keys are not where they were")
	}
}

func TestHashFollowsWeights(t *testing.T) {
	r := newRig(t, Options{Balance: Hash(HashPath)}, targets(3, 1)...)
	count := 0
	for i := range 10_000 {
		v, _ := r.pick.Pick(r.now, HashString(fmt.Sprint(i)), nil)
		if name(v) == "1" {
			count++
		}
		v.End(r.now, Fine)
	}
	if count < 7400 || count > 7600 {
		t.Errorf("%d of 10000 keys are with the target of weight 3 of 4", count)
	}
}

// TestHashBoundsALoad: requests with one key that stay spread when their target has 1.25 times its share.
func TestHashBoundsALoad(t *testing.T) {
	r := newRig(t, Options{Balance: Hash(HashPath)}, targets(1, 1, 1, 1)...)
	for range 400 {
		r.take()
	}
	for _, v := range r.set.Servers() {
		if n := v.Active(); n > 126 {
			t.Errorf("%s has %d of 400 requests", v.Addr(), n)
		}
	}
}

func TestHashKeys(t *testing.T) {
	var h httpparse.Head
	var p httpparse.Parser
	parse := func(text string) *httpparse.Head {
		if n, err := p.Parse(&h, []byte(text), nil); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		return &h
	}
	if HashPath(parse("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n")) != HashString("a") {
		t.Error("the key of a path")
	}
	key := HashField("Tenant")
	if key(parse("GET / HTTP/1.1\r\nHost: x\r\ntenant: t1\r\n\r\n")) != HashString("t1") {
		t.Error("the key of a field")
	}
	if key(parse("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) != 0 {
		t.Error("the key without the field")
	}
}

// After a slow start, a target has its share; before, the part of it that has passed.
func TestSlowStart(t *testing.T) {
	r := newRig(t, Options{Balance: RoundRobin(), Slow: 10 * time.Second}, targets(1)...)
	r.counts(1) // the Set knows the time now
	if err := r.set.Replace(targets(1, 1)...); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		past  time.Duration
		share int
	}{{0, 1}, {time.Second, 10}, {5 * time.Second, 50}, {10 * time.Second, 100}, {time.Hour, 100}} {
		if got := r.server(1).Share(r.now + int64(step.past)); got != step.share {
			t.Errorf("after %v the share is %d, want %d", step.past, got, step.share)
		}
	}
	r.pass(2500 * time.Millisecond)
	if got, want := r.counts(1000), map[string]int{"1": 800, "2": 200}; !maps.Equal(got, want) {
		t.Errorf("requests by target: %v, want %v", got, want)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, b := range []Balancer{RoundRobin(), LeastLoad(), PeakEWMA(0), Hash(HashPath)} {
		r := newRig(t, Options{Balance: b}, targets(1, 2, 3)...)
		run := func() {
			v := r.take()
			v.Answered(r.now, time.Millisecond)
			v.End(r.now, Fine)
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%T: %v allocations", b, n)
		}
	}
}
