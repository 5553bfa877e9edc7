package channel

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeLog is a log of several hubs, which get what it has when the test says so.
type fakeLog struct {
	mu      sync.Mutex
	entries []Entry
	full    bool
	most    int // entries that it takes; 0: any number
	refused int
	moved   bool
	taken   string
}

func (l *fakeLog) HandOver() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = true
	return []byte("state")
}

func (l *fakeLog) Stay(since []Entry)          { l.moved, l.entries = false, append(l.entries, since...) }
func (l *fakeLog) TakeOver(state []byte) error { l.taken = string(state); return nil }

func (l *fakeLog) Append(name string, p Post) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.full || l.most > 0 && len(l.entries) == l.most:
		l.refused++
		return ErrBusy
	case l.moved:
		return ErrMoved
	}
	l.entries = append(l.entries, Entry{name, p})
	return nil
}

// logPlace is the place of the first entry, far from those that a hub begins with.
const logPlace = 1000

// pass gives a hub the next entries.
func (l *fakeLog) pass(t *testing.T, h *Hub, n int) {
	t.Helper()
	at, _ := h.Follow("log", logPlace-1)
	from := int(at) + 1 - logPlace
	if err := h.Apply(uint64(from+logPlace), 1e12, l.entries[from:min(len(l.entries), from+n)], nil); err != nil {
		t.Fatal(err)
	}
}

func newLogRig(t *testing.T, l Log, rules ...Rule) *rig {
	r := newRig(t, Options{QueueBytes: 100_000}, rules...)
	r.hub.UseLog(l)
	return r
}

// Two hubs have the same messages, in the same order and with the same ids, so a client of one continues at the other.
func TestLog(t *testing.T) {
	l := new(fakeLog)
	a, b := newLogRig(t, l, Rule{Pattern: "*", Messages: 100}), newLogRig(t, l, Rule{Pattern: "*", Messages: 100})
	l.pass(t, a.hub, 9)
	l.pass(t, b.hub, 9)
	here, there := a.client(0, "", "x", "y"), b.client(1, "", "x", "y")
	if n := a.publish("x", "1"); n != 1 {
		t.Errorf("%d subscribers of this hub, want 1", n)
	}
	b.publish("y", "2")
	a.settle()
	here.want() // before the log has it
	l.pass(t, a.hub, 9)
	l.pass(t, b.hub, 1)
	a.settle()
	b.settle()
	here.want("1", "2")
	there.want("1")
	if x, y := here.got[0].Position(), there.got[0].Position(); x != y || x != "log-1000" {
		t.Errorf("ids %q and %q", x, y)
	}
	// It comes to a hub that does not have its last message yet.
	moved := b.client(0, here.got[1].Position(), "x", "y")
	l.pass(t, b.hub, 9)
	b.publish("x", "3")
	l.pass(t, b.hub, 9)
	b.settle()
	there.want("1", "2", "3")
	moved.want("3")
	if moved.lost != 0 {
		t.Error("told of a loss that there was not")
	}
	l.full = true
	if _, err := a.hub.Publish("x", Post{Data: "x"}); !errors.Is(err, ErrBusy) || a.hub.Stats().Refused != 1 {
		t.Errorf("the log takes nothing: %v", err)
	}
}

// Clients move between three hubs that are at different places of the log.
func TestLogModel(t *testing.T) {
	for seed := range uint64(30) {
		l := new(fakeLog)
		rnd := rand.New(rand.NewPCG(seed, 2))
		var rigs []*rig
		var clients []*client
		at := make([]string, 12)
		for range 3 {
			rigs = append(rigs, newLogRig(t, l, Rule{Pattern: "*", Messages: 10_000}))
			l.pass(t, rigs[len(rigs)-1].hub, 1)
		}
		for range at {
			clients = append(clients, rigs[rnd.IntN(3)].client(0, "", "a", "b"))
		}
		for step := range 600 {
			r := rigs[rnd.IntN(3)]
			switch rnd.IntN(6) {
			case 0, 1:
				r.publish([]string{"a", "b"}[rnd.IntN(2)], fmt.Sprint(step))
			case 2:
				l.pass(t, r.hub, 1+rnd.IntN(4))
			case 3:
				r.settle()
			default:
				i := rnd.IntN(len(clients))
				after := clients[i].l.hub.era().id(clients[i].last)
				clients[i].Leave()
				got := clients[i].got
				clients[i] = r.client(0, after, "a", "b")
				clients[i].got = got
			}
		}
		var want []string
		for _, e := range l.entries {
			want = append(want, e.Post.Data)
		}
		for _, r := range rigs {
			l.pass(t, r.hub, len(want))
			r.settle()
		}
		for i, c := range clients {
			if c.lost > 0 || !slices.Equal(c.data(), want) {
				t.Fatalf("seed %d, client %d: lost %d, got %q, want %q", seed, i, c.lost, c.data(), want)
			}
		}
	}
}

// What the log does not have any more is not passed over in silence.
func TestLogSkip(t *testing.T) {
	l := new(fakeLog)
	r := newLogRig(t, l, Rule{Pattern: "*", Messages: 100})
	l.pass(t, r.hub, 1)
	r.publish("a", "1")
	l.pass(t, r.hub, 9)
	live := r.client(0, "", "a")
	quiet := r.client(1, "", "none")
	full := r.client(1, "", "a")
	full.takes = 1
	r.publish("a", "2")
	l.pass(t, r.hub, 9)
	r.settle()
	at := live.got[0].Position()
	r.hub.Skip(logPlace + 10)
	r.settle()
	full.Resume()
	r.settle()
	if !live.slow || !quiet.slow || !full.slow {
		t.Errorf("not told of the loss: %v, %v, %v", !live.slow, !quiet.slow, !full.slow)
	}
	back := r.client(0, at, "a")
	fresh := r.client(0, "", "a")
	if err := r.hub.Apply(logPlace+11, 1e12, []Entry{{"a", Post{Data: "3"}}}, nil); err != nil {
		t.Fatal(err)
	}
	r.settle()
	back.want("3")
	fresh.want("3")
	if back.lost != 1 || fresh.lost != 0 {
		t.Errorf("told of loss %d, %d times, want 1, 0", back.lost, fresh.lost)
	}
	// Another log, which begins before the place of this one.
	if at, known := r.hub.Follow("other", 5); at != 5 || known {
		t.Errorf("it begins at %d", at)
	}
	r.settle()
	if !fresh.slow {
		t.Error("not told that the log is another one")
	}
	again := r.client(0, "other-5", "a")
	if err := r.hub.Apply(5, 1e12, []Entry{{"a", Post{Data: "old"}}, {"a", Post{Data: "4"}}, {"a*", Post{Data: "not valid"}}, {"a", Post{Data: "5"}}}, nil); err != nil {
		t.Fatal(err)
	}
	r.settle()
	again.want("4", "5")
	if got := again.got[1].Position(); got != "other-8" || again.lost != 0 {
		t.Errorf("its id is %q, told of loss %d times", got, again.lost)
	}
	if got, known := r.hub.Follow("other", 0); got != 8 || !known {
		t.Errorf("the same log continues at %d, want 8", got)
	}
}

// A hub that follows a log late does not have what was there before. Who has subscribed before is told, even if nothing had been published.
func TestLogLate(t *testing.T) {
	r := newLogRig(t, new(fakeLog), Rule{Pattern: "*", Messages: 100})
	now, after, all := r.client(0, "", "a"), r.client(1, r.hub.Position(), "a"), r.client(0, "0", "a")
	r.settle()
	r.hub.Follow("log", logPlace)
	r.settle()
	if !now.slow || !after.slow || !all.slow {
		t.Errorf("not told of the loss: %v, %v, %v", !now.slow, !after.slow, !all.slow)
	}
	if all = r.client(0, "0", "a"); all.lost != 0 {
		t.Error("told of a loss although it wants what there is")
	}
}

func TestLogBusy(t *testing.T) {
	l := new(fakeLog)
	r := newLogRig(t, l)
	r.hub.o.QueueBytes = 10_000
	l.pass(t, r.hub, 1)
	c := r.client(0, "", "a")
	list := make([]Entry, 20)
	for i := range list {
		list[i] = Entry{"a", Post{Data: fmt.Sprint(i)}}
	}
	if err := r.hub.Apply(logPlace, 1e12, list[:10], nil); err != nil {
		t.Fatal(err)
	}
	if err := r.hub.Apply(logPlace+10, 1e12, list, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("more than has room: %v", err)
	}
	r.settle()
	if err := r.hub.Apply(logPlace+10, 1e12, slices.Repeat(list, 3), nil); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
	r.settle()
	if len(c.got) != 70 {
		t.Errorf("%d messages, want 70", len(c.got))
	}
}

// A process that takes over continues in the log where the old one is, which goes on too.
func TestLogHandOver(t *testing.T) {
	l := new(fakeLog)
	rule := Rule{Pattern: "*", Messages: 100}
	other := new(fakeLog)
	old, heir := newLogRig(t, l, rule), newLogRig(t, other, rule)
	l.pass(t, old.hub, 1)
	client := old.client(0, "", "a")
	old.publish("a", "1")
	l.pass(t, old.hub, 9)
	stop := handOver(t, old, heir)
	if !l.moved || other.taken != "state" {
		t.Errorf("what waits is not handed over: %v, %q", l.moved, other.taken)
	}
	old.publish("a", "2")
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		other.mu.Lock()
		n := len(other.entries)
		other.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the message does not come")
		}
	}
	heir.publish("a", "3")
	other.entries = append(l.entries, other.entries...)
	l.entries = other.entries
	l.pass(t, old.hub, 9)
	old.settle()
	client.want("1", "2", "3")
	back := heir.client(0, client.got[0].Position(), "a")
	other.pass(t, heir.hub, 9)
	heir.settle()
	back.want("2", "3")
	all := heir.client(0, "0", "a")
	heir.settle()
	if all.want("1", "2", "3"); all.lost+back.lost > 0 {
		t.Error("told of a loss that there was not")
	}
	stop()
	if got := old.hub.era().name; got != "log" || !l.moved {
		t.Errorf("moved: %v; afterwards, the ids of the old hub begin with %q", l.moved, got)
	}
}

// The process that was to take over does not live. What it has not confirmed is published here, even if this process is about to end.
func TestLogHandOverFails(t *testing.T) {
	for _, ends := range []bool{false, true} {
		l := new(fakeLog)
		r := newLogRig(t, l)
		l.pass(t, r.hub, 1)
		there, here := net.Pipe()
		go func() {
			io.ReadFull(there, make([]byte, 50))
			if _, err := r.hub.Publish("a", Post{Data: "1"}); err != nil {
				t.Error(err)
			}
			if ends {
				r.hub.Close()
			}
			there.Close()
		}()
		if err := r.hub.HandOver(here); err == nil {
			t.Error("no error")
		}
		if l.moved || len(l.entries) != 1 || r.hub.era().name != "log" {
			t.Errorf("at its end: %v: it does not go on: %v, %d entries", ends, l.moved, len(l.entries))
		}
	}
}

// It is known that the other process does not live, before anything is published.
func TestReclaim(t *testing.T) {
	l := new(fakeLog)
	r := newLogRig(t, l)
	there, here := net.Pipe()
	defer there.Close()
	over := make(chan error)
	go func() { over <- r.hub.HandOver(here) }()
	go io.Copy(io.Discard, there)
	for {
		l.mu.Lock()
		moved := l.moved
		l.mu.Unlock()
		if moved {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.hub.Reclaim()
	if err := <-over; err != errReclaimed {
		t.Errorf("the end of it is %v", err)
	}
	if r.publish("a", "1"); l.moved || len(l.entries) != 1 {
		t.Error("the hub does not go on")
	}
	r.hub.Reclaim() // there is nothing to end
}
