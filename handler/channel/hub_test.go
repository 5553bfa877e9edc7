package channel

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestPublish(t *testing.T) {
	r := newRig(t, Options{})
	a, b, other := r.client(0, "", "news"), r.client(1, "", "news", "more"), r.client(0, "", "other")
	if n := r.publish("news", "1"); n != 2 {
		t.Errorf("%d subscribers, want 2", n)
	}
	r.publish("more", "2")
	r.publish("nobody", "3")
	r.publish("news", "4")
	a.want() // nothing before the loop's turn
	r.settle()
	a.want("1", "4")
	b.want("1", "2", "4")
	other.want()
	if s := r.hub.Stats(); s.Messages != 4 || s.Deliveries != 5 || s.Subscribers != 3 {
		t.Errorf("statistics: %+v", s)
	}
}

func TestLateSubscriberDoesNotGetWhatIsQueued(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 10})
	first, more := r.client(0, "", "a"), r.client(0, "", "b")
	r.publish("a", "1")
	late := r.client(0, "", "a")
	if err := more.Subscribe("a"); err != nil {
		t.Fatal(err)
	}
	r.publish("a", "2")
	r.settle()
	first.want("1", "2")
	late.want("2")
	more.want("2")
}

func TestResume(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "room:*", Messages: 3})
	r.publish("room:1", "1")
	at := r.hub.Position()
	r.publish("room:1", "2")
	r.publish("room:2", "3")
	r.publish("room:1", "4")
	back := r.client(0, at, "room:1", "room:2")
	all := r.client(0, "0", "room:1")
	r.publish("room:2", "5")
	r.settle()
	back.want("2", "3", "4", "5")
	all.want("1", "2", "4")
	r.publish("room:1", "6")
	late := r.client(1, at, "room:1")
	r.settle()
	back.want("2", "3", "4", "5", "6")
	late.want("2", "4", "6")
	r.publish("room:1", "7") // 2 is not in the history any more
	missed := r.client(1, at, "room:1")
	if !missed.Misses() || late.Misses() {
		t.Error("it is not known at once who misses messages")
	}
	r.settle()
	if missed.Misses() {
		t.Error("it is told twice")
	}
	missed.want("4", "6", "7")
	if missed.lost != 1 || back.lost+all.lost+late.lost != 0 {
		t.Errorf("told of loss: %d times, and %d, %d, %d times; want 1, and none", missed.lost, back.lost, all.lost, late.lost)
	}
	stranger := r.client(0, "ffff-3", "room:1")
	if !stranger.Misses() {
		t.Error("an unknown id: nothing is said to be missing")
	}
	r.settle()
	stranger.want()
	if stranger.lost != 1 {
		t.Error("an unknown id: not told of loss")
	}
}

// The place before the first message is one like all others, unlike "0", which a client has until it gets something.
func TestResumeFromTheFirstPlace(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 2})
	at, none := r.hub.Position(), r.client(0, "0", "b")
	if got := r.client(0, "", "a").Position(); got != at || none.Position() != at {
		t.Errorf("at %s, not %s", got, at)
	}
	for i := range 3 {
		r.publish("a", fmt.Sprint(i))
	}
	missed, all := r.client(0, at, "a"), r.client(0, "0", "a")
	back := r.client(0, all.Position(), "a")
	r.settle()
	missed.want("1", "2")
	back.want("1", "2")
	if missed.lost != 1 || all.lost+back.lost != 0 {
		t.Errorf("told of loss: %d times, and %d, %d times; want 1, and none", missed.lost, all.lost, back.lost)
	}
	if at := all.Position(); at != r.hub.Position() {
		t.Errorf("it is at %s then", at)
	}
}

// A loss is told once, even if there is much of another channel before it.
func TestLostIsToldOnce(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "long", Messages: 1000}, Rule{Pattern: "short", Messages: 1})
	at := r.hub.Position()
	for range 5 * runMessages {
		r.publish("long", "x")
	}
	for range 3 {
		r.publish("short", "y")
	}
	c := r.client(0, at, "long", "short")
	r.settle()
	if c.lost != 1 || len(c.got) != 5*runMessages+1 {
		t.Errorf("told of loss %d times, %d messages", c.lost, len(c.got))
	}
}

// A history that goes on while a client that has come back takes what it had: each gap is told.
func TestResumeLosesAgain(t *testing.T) {
	for _, after := range []string{"ffff-3", "", "0"} {
		r := newRig(t, Options{}, Rule{Pattern: "*", Messages: runMessages + 1})
		r.publish("a", "before")
		if after == "" {
			after = r.hub.Position()
		}
		fill := func() {
			for i := range 2 * runMessages {
				r.publish("a", fmt.Sprint(i))
			}
		}
		fill()
		c := r.client(0, after, "a")
		fill()
		c.takes = 1
		for range 3 {
			r.settle()
			fill()
			c.takes = 1
			c.Resume()
		}
		r.settle()
		for i, m := range c.got {
			if i > 0 && m.Seq > c.got[i-1].Seq+1 && m.Seq-1 > c.lostUpTo["a"] {
				t.Errorf("after %q: %d follows %d, and it was not told", after, m.Seq, c.got[i-1].Seq)
			}
		}
		if len(c.got) < 3*runMessages {
			t.Errorf("after %q: it got %d messages", after, len(c.got))
		}
	}
}

func TestResumeWithOwnID(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 3})
	for i := range 4 {
		if _, err := r.hub.Publish("a", Post{Data: fmt.Sprint(i), ID: fmt.Sprint("own", i)}); err != nil {
			t.Fatal(err)
		}
	}
	back, gone := r.client(0, "own2", "a"), r.client(0, "own0", "a")
	r.settle()
	back.want("3")
	gone.want()
	if back.lost != 0 || gone.lost != 1 {
		t.Errorf("told of loss: %d, %d times, want 0, 1", back.lost, gone.lost)
	}
}

func TestKey(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 3})
	r.publish("a", "first")
	for i := range 1000 {
		if _, err := r.hub.Publish("a", Post{Data: fmt.Sprint(i), Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	all := r.client(0, "0", "a")
	r.settle()
	all.want("first", "999")
	if n := len(r.hub.channels["a"].history); n > 2*compactFrom {
		t.Errorf("the history has %d places for 2 messages", n)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	r := newRig(t, Options{HistoryBytes: 4000}, Rule{Pattern: "n", Messages: 2}, Rule{Pattern: "b", Messages: 100, Bytes: 3 * (messageOverhead + 2)},
		Rule{Pattern: "t", Messages: 100, Age: time.Second}, Rule{Pattern: "all*", Messages: 100})
	check := func(name string, want ...string) {
		t.Helper()
		list, _ := r.hub.History(name, "", 1000)
		var got []string
		for _, m := range list {
			got = append(got, m.Data)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("history of %q: %q, want %q", name, got, want)
		}
	}
	for i := range 5 {
		r.publish("n", fmt.Sprint(i))
		r.publish("b", fmt.Sprint(i))
	}
	r.publish("t", "old")
	r.ms.Add(900)
	r.publish("t", "young")
	check("t", "old", "young")
	r.ms.Add(101)
	check("n", "3", "4")
	check("b", "2", "3", "4")
	check("t", "young")
	for i := range 20 {
		r.publish(fmt.Sprint("all", i), "x")
	}
	check("n")
	if r.hub.bytes > 4000 {
		t.Errorf("histories have %d bytes", r.hub.bytes)
	}
	if err := r.hub.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	r.hub.sweep()
	if r.hub.bytes != 0 || r.hub.kept.Len() != 0 {
		t.Errorf("without rules: %d bytes are left", r.hub.bytes)
	}
}

func TestSlow(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Messages: 5})
	c := r.client(0, "", "a")
	c.takes = 1
	r.publish("a", "1")
	r.settle()
	r.publish("a", "2")
	r.publish("a", "3")
	r.settle()
	c.want("1")
	c.takes = -1
	c.Resume()
	r.publish("a", "4")
	r.settle()
	c.want("1", "2", "3", "4")
	c.takes = 1
	for i := range 7 {
		r.publish("a", fmt.Sprint(5+i))
		r.settle()
	}
	c.Resume()
	r.settle()
	if !c.slow || c.lost != 0 {
		t.Error("a subscriber that has missed something continues")
	}
	n := len(c.got)
	if c.l != nil || n != 5 {
		t.Errorf("it got %q", c.data())
	}
	if n := r.hub.Count("a"); n != 0 {
		t.Errorf("%d subscribers, want none", n)
	}
}

// The same before a member has ever been behind.
func TestSlowAtOnce(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Messages: 2})
	c := r.client(0, "", "a")
	c.takes = 1
	for i := range 5 {
		r.publish("a", fmt.Sprint(i))
		r.settle()
	}
	c.Resume()
	r.settle()
	if c.want("0"); !c.slow || c.lost != 0 {
		t.Errorf("slow: %v, told of loss %d times", c.slow, c.lost)
	}
}

// One that takes little at a time has no room for long, and is not stuck.
func TestSlowButSteady(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Messages: 5, Slow: 3 * time.Second})
	c := r.client(0, "", "a")
	c.takes = 1
	r.publish("a", "1")
	r.settle()
	r.publish("a", "2")
	r.settle()
	for range 20 {
		c.took++
		r.loops[0].pass(2 * time.Second)
	}
	if c.slow {
		t.Fatal("it takes something all the time, and was ended")
	}
	c.takes = -1
	c.Resume()
	r.settle()
	c.want("1", "2")

	c.takes = 1
	r.publish("a", "3")
	r.settle()
	r.loops[0].pass(5 * time.Second)
	if !c.slow {
		t.Error("it takes nothing any more, and was not ended")
	}
}

func TestStuck(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Slow: 3 * time.Second})
	stuck, fast := r.client(0, "", "a"), r.client(0, "", "a")
	stuck.takes = 1
	r.publish("a", "1")
	r.settle()
	r.loops[0].pass(2 * time.Second)
	if stuck.slow {
		t.Error("ended too early")
	}
	r.loops[0].pass(3 * time.Second)
	if !stuck.slow || fast.slow {
		t.Errorf("ended: %v, %v; want the first only", stuck.slow, fast.slow)
	}
	if s := r.hub.Stats(); s.Slow != 1 || s.Subscribers != 1 {
		t.Errorf("statistics: %+v", s)
	}
}

func TestLeaveWithinDeliver(t *testing.T) {
	r := newRig(t, Options{})
	var all []*client
	for range 100 {
		all = append(all, r.client(0, "", "a"))
	}
	gone := 0
	for i, c := range all {
		if i%3 == 0 {
			c.s = leaver{c, func() { gone++; c.Leave(); all[(i+50)%100].Leave() }}
		}
	}
	r.publish("a", "1")
	r.settle()
	r.publish("a", "2")
	r.settle()
	for i, c := range all {
		if len(c.got) > 2 || len(c.got) == 2 && c.l == nil {
			t.Errorf("client %d got %q", i, c.data())
		}
		if c.l != nil {
			c.want("1", "2")
		}
	}
	if gone == 0 {
		t.Error("none has left")
	}
}

type leaver struct {
	*client
	leave func()
}

func (l leaver) Deliver(r *Run) bool { l.client.Deliver(r); l.leave(); return true }

func TestPresence(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "room", Presence: true})
	join := func(key string) *client {
		c := &client{t: t, takes: -1}
		if err := r.hub.On(r.loops[0]).Join(&c.Member, c, key); err != nil {
			t.Fatal(err)
		}
		if err := c.Subscribe("room", "hall", "room"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b, _, none := join("a"), join("b"), join("b"), join("")
	check := func(name, want string) {
		t.Helper()
		if got := fmt.Sprint(r.hub.Presence(name, 10)); got != want {
			t.Errorf("presence of %q: %s, want %s", name, got, want)
		}
	}
	check("room", "map[a:1 b:2]")
	check("hall", "map[]")
	if n := r.hub.Count("room"); n != 4 {
		t.Errorf("%d subscribers, want 4", n)
	}
	a.Leave()
	b.Unsubscribe("room")
	none.Leave()
	check("room", "map[b:1]")
	if len(b.Channels()) != 1 || b.Channels()[0] != "hall" {
		t.Errorf("channels: %q", b.Channels())
	}
}

func TestBounds(t *testing.T) {
	r := newRig(t, Options{Channels: 3, Subscribers: 2, QueueBytes: 2000})
	c := r.client(0, "", "a", "b")
	if err := c.Subscribe("c", "d"); !errors.Is(err, ErrChannels) {
		t.Errorf("a fourth channel: %v", err)
	}
	if n := r.hub.Stats().Channels; n != 2 {
		t.Errorf("%d channels after that, want 2", n)
	}
	if err := c.Subscribe("c"); err != nil {
		t.Errorf("a third channel: %v", err)
	}
	if _, err := r.hub.Publish("d", Post{}); !errors.Is(err, ErrChannels) {
		t.Errorf("a message for a fourth channel: %v", err)
	}
	r.client(1, "")
	if err := r.hub.On(r.loops[0]).Join(new(Member), c, ""); !errors.Is(err, ErrSubscribers) {
		t.Errorf("a third subscriber: %v", err)
	}
	for err := error(nil); err == nil; {
		_, err = r.hub.Publish("a", Post{Data: "x"})
		if err != nil && !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	r.settle()
	if r.publish("a", "y"); len(c.got) != 2000/(messageOverhead+2) {
		t.Errorf("%d messages had room", len(c.got))
	}
	many := make([]string, subscriptionsMax+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if r := newRig(t, Options{}); !errors.Is(r.client(0, "").Subscribe(many...), ErrMany) || r.hub.Stats().Channels != 0 {
		t.Errorf("too many channels for one: %d exist", r.hub.Stats().Channels)
	}
	for _, name := range []string{"", "a*", "a\nb", strings.Repeat("x", NameMax+1)} {
		if _, err := r.hub.Publish(name, Post{}); !errors.Is(err, ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, p := range []Post{{Data: strings.Repeat("x", DataMax+1)}, {ID: "a\rb"}, {Event: strings.Repeat("x", WordMax+1)}, {Key: "\x00"}} {
		if _, err := r.hub.Publish("a", p); err == nil {
			t.Errorf("published: %.40v", p)
		}
	}
}

func TestForgottenChannel(t *testing.T) {
	r := newRig(t, Options{})
	r.publish("a", "1")
	at := r.hub.Position()
	r.publish("a", "2")
	r.ms.Add(forgetAfter.Milliseconds() + 1)
	r.hub.sweep()
	if n := r.hub.Stats().Channels; n != 0 {
		t.Fatalf("%d channels are left", n)
	}
	missed, there := r.client(0, at, "a"), r.client(0, r.hub.Position(), "a")
	r.settle()
	if missed.lost != 1 || there.lost != 0 {
		t.Errorf("told of loss: %d, %d times, want 1, 0", missed.lost, there.lost)
	}
}

// The history of a channel that has never been used, or is forgotten, is complete for a client that has missed nothing of it.
func TestHistoryOfForgottenChannel(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 5, Age: time.Second})
	start := r.hub.Position()
	r.publish("a", "1")
	before := r.hub.Position()
	r.publish("a", "2")
	r.ms.Add(forgetAfter.Milliseconds() + 1)
	r.hub.sweep()
	r.publish("b", "3")
	after := r.hub.Position()
	if _, there := r.hub.channels["a"]; there {
		t.Fatal("the channel is remembered")
	}
	for _, c := range []struct {
		after string
		want  bool
	}{{"", true}, {start, false}, {before, false}, {r.hub.era().id(2), true}, {after, true}, {"unknown", false}} {
		for _, name := range []string{"a", "never"} { // what was forgotten may have been a message of any channel
			if list, complete := r.hub.History(name, c.after, 9); len(list) != 0 || complete != c.want {
				t.Errorf("%s after %q: %d messages, %v, want %v", name, c.after, len(list), complete, c.want)
			}
		}
	}
}

// New rules hold for channels that exist: for the next message, and for a history that nothing touches when it is swept.
func TestNewRules(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 5})
	for range 4 {
		r.publish("used", "x")
		r.publish("idle", "x")
	}
	if err := r.hub.SetRules([]Rule{{Pattern: "*", Messages: 2, Presence: true}}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.hub.channels["used"].history); n != 4 {
		t.Errorf("%d messages: SetRules has looked at the channels", n)
	}
	r.publish("used", "x")
	if list, _ := r.hub.History("used", "", 10); len(list) != 2 {
		t.Errorf("%d messages after another one, want 2", len(list))
	}
	r.hub.sweep()
	if n := len(r.hub.channels["idle"].history); n != 2 {
		t.Errorf("%d messages of a channel that was swept, want 2", n)
	}
	if err := r.hub.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	r.publish("used", "x")
	if list, _ := r.hub.History("used", "", 10); len(list) != 0 {
		t.Errorf("%d messages without a rule", len(list))
	}
}

func TestRules(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Messages: 1}, Rule{Pattern: "room:*", Messages: 2}, Rule{Pattern: "room:main", Messages: 3})
	for name, want := range map[string]int{"x": 1, "room:": 2, "room:1": 2, "room:main": 3, "room:main2": 2} {
		if got := r.hub.ruleOf(name).Messages; got != want {
			t.Errorf("%q has a history of %d, want %d", name, got, want)
		}
	}
	for _, bad := range []Rule{{}, {Pattern: "a*b"}, {Pattern: "a\n*"}, {Pattern: "a", Messages: -1}, {Pattern: "a", Age: -1}, {Pattern: "a", Bytes: math.MaxInt}, {Pattern: "a", Slow: 2 * slowMax}} {
		if r.hub.SetRules([]Rule{bad}) == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
}

var upper = NewForm(func(dst []byte, m *Message) []byte { return append(append(dst, strings.ToUpper(m.Data)...), '.') })

func TestForm(t *testing.T) {
	a, b := &Message{Post: Post{Data: "a"}, Seq: 1}, &Message{Post: Post{Data: "b"}, Seq: 2}
	if &a.In(upper)[0] != &a.In(upper)[0] {
		t.Error("a message is encoded twice")
	}
	r := &Run{messages: []*Message{a, b}}
	if got := string(r.In(upper)); got != "A.B." || &r.In(upper)[0] != &r.In(upper)[0] {
		t.Errorf("a run: %q", got)
	}
	if got := string(r.after(1).In(upper)); got != "B." || r.after(2) != nil {
		t.Errorf("the rest of a run: %q", got)
	}
}

// A million subscribers come and go, and leave nothing.
func TestComeAndGo(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "*", Presence: true})
	l := r.hub.On(r.loops[0])
	members := make([]client, 100)
	for i := range 1_000_000 {
		c := &members[i%len(members)]
		c.Leave()
		*c = client{t: t, takes: -1}
		if err := l.Join(&c.Member, c, "key"); err != nil {
			t.Fatal(err)
		}
		if err := c.Subscribe("a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.publish("a", "x"); n != len(members) {
		t.Errorf("%d subscribers, want %d", n, len(members))
	}
	r.settle()
	for i := range members {
		members[i].Leave()
	}
	r.ms.Add(forgetAfter.Milliseconds() + 1)
	r.hub.sweep()
	if s := r.hub.Stats(); s.Subscribers != 0 || s.Channels != 0 || s.History != 0 || r.hub.Waiting() != 0 {
		t.Errorf("%+v are left", s)
	}
}

// Many channels are looked at in portions, and all of them in their turn.
func TestSweepManyChannels(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "kept*", Messages: 1}, Rule{Pattern: "old*", Messages: 1, Age: time.Second})
	const each = 2 * sweepPortion
	stays := r.client(0, "", "followed")
	for i := range each {
		for _, name := range []string{"kept", "old", "none"} {
			r.publish(fmt.Sprint(name, i), "x")
		}
	}
	r.ms.Add(forgetAfter.Milliseconds() + 1)
	for range 3*each/sweepPortion + 2 {
		r.hub.sweep()
	}
	r.hub.mu.Lock() // it sweeps by itself, too
	if n := len(r.hub.channels); n != each+1 || len(r.hub.all) != n || r.hub.bytes != each*(messageOverhead+2) {
		t.Errorf("%d channels are left, with %d bytes", n, r.hub.bytes)
	}
	for i, c := range r.hub.all {
		if c.index != i || r.hub.channels[c.name] != c {
			t.Errorf("channel %q is at %d, not %d", c.name, i, c.index)
		}
	}
	r.hub.mu.Unlock()
	stays.Leave()
	if err := r.hub.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	r.ms.Add(forgetAfter.Milliseconds() + 1)
	for range each/sweepPortion + 2 {
		r.hub.sweep()
	}
	if n := r.hub.Stats().Channels; n != 0 {
		t.Errorf("%d channels are left", n)
	}
}
