package channel

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handOver makes the hub of one rig the heir of that of another.
func handOver(t *testing.T, from, to *rig) (stop func()) {
	t.Helper()
	r, w := net.Pipe()
	over, followed := make(chan error, 1), make(chan error, 1)
	go func() { over <- from.hub.HandOver(w) }()
	follow, err := to.hub.TakeOver(r)
	if err != nil {
		t.Fatal(err)
	}
	go func() { followed <- follow() }()
	return func() {
		from.hub.Close()
		if err := <-over; err != io.ErrClosedPipe {
			t.Errorf("handed over: %v", err)
		}
		if err := <-followed; err != io.EOF {
			t.Errorf("followed: %v", err)
		}
	}
}

func TestHandOver(t *testing.T) {
	rules := []Rule{{Pattern: "a*", Messages: 5}}
	old, heir := newRig(t, Options{}, rules...), newRig(t, Options{}, rules...)
	for i := range 7 {
		old.publish("a", fmt.Sprint(i))
		old.publish("none", fmt.Sprint(i))
	}
	if _, err := old.hub.Publish("a", Post{Data: "own", ID: "x", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	client := old.client(0, "", "a")
	old.publish("a", "seen")
	old.settle()
	client.want("seen")
	at := old.hub.Position()
	heir.publish("a", "early")
	heir.publish("early", "not kept")
	stop := handOver(t, old, heir)
	if n := old.publish("a", "late"); n != 1 {
		t.Errorf("%d subscribers of the old hub, want 1", n)
	}
	for end := time.Now().Add(time.Minute); heir.hub.Stats().Messages < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the message does not come")
		}
	}
	back, all := heir.client(0, at, "a"), heir.client(1, "0", "a")
	own := heir.client(0, "x", "a")
	heir.settle()
	back.want("early", "late")
	all.want("6", "own", "seen", "early", "late")
	own.want("seen", "early", "late")
	for after, lost := range map[string]int{at: 1, heir.hub.Position(): 0} {
		c := heir.client(0, after, "early")
		heir.settle()
		if c.lost != lost {
			t.Errorf("after %s: told of loss %d times, want %d", after, c.lost, lost)
		}
	}
	if back.lost+all.lost+own.lost > 0 {
		t.Error("told of a loss that there was not")
	}
	old.settle()
	client.want("seen") // it is to come back to the other process
	for i := range 100 {
		old.publish("a", fmt.Sprint("last ", i))
	}
	stop()
	heir.settle()
	if list, _ := heir.hub.History("a", "", 1); list[0].Data != "last 99" {
		t.Errorf("the last message is %q", list[0].Data)
	}
}

// If the other process does not live, the hub goes on.
func TestHandOverFails(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Messages: 5})
	r.publish("a", "1")
	at := r.hub.Position()
	there, here := net.Pipe()
	go func() {
		io.ReadFull(there, make([]byte, 50))
		r.hub.Publish("a", Post{Data: "2"})
		there.Close()
	}()
	if err := r.hub.HandOver(here); err == nil {
		t.Error("no error")
	}
	if list, _ := r.hub.History("a", "", 9); len(list) != 2 || list[1].Data != "2" {
		t.Errorf("%d messages", len(list))
	}
	c := r.client(0, at, "a")
	r.settle()
	if c.lost != 1 {
		t.Error("not told that messages may be lost")
	}
	r.publish("a", "3")
	r.settle()
	c.want("3")
}

func TestTakeOverNonsense(t *testing.T) {
	r, w := net.Pipe()
	go func() { w.Write([]byte("nonsense that is not a hub")); w.Close() }()
	if _, err := newRig(t, Options{}).hub.TakeOver(r); err == nil {
		t.Error("no error")
	}
}

// What was published just before the end is passed on, and then the end comes.
func TestHandOverEnds(t *testing.T) {
	old, heir := newRig(t, Options{}), newRig(t, Options{})
	r, w := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- old.hub.HandOver(w) }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	old.publish("a", "last") // the hub still writes the first part
	old.hub.Close()
	follow, err := heir.hub.TakeOver(struct {
		io.Reader
		io.Writer
	}{io.MultiReader(bytes.NewReader(first), r), r})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := <-over; err != io.ErrClosedPipe {
			t.Errorf("handed over: %v", err)
		}
	}()
	if err := follow(); err != io.EOF {
		t.Errorf("followed: %v", err)
	}
	if n := heir.hub.Stats().Messages; n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

// Whoever publishes through the old process, and then through a newer one, does so in this order.
func TestHandOverOrder(t *testing.T) {
	defer func(before time.Duration) { heirTimeout = before }(heirTimeout)
	heirTimeout = time.Minute // on a busy machine, the heir may be late
	const messages = 1000
	hubs := []*rig{newRig(t, Options{}), newRig(t, Options{}), newRig(t, Options{}, Rule{Pattern: "a", Messages: messages})}
	ends := []func(){handOver(t, hubs[0], hubs[1]), handOver(t, hubs[1], hubs[2])}
	for i := range messages {
		from := hubs[2*i%len(hubs)]
		from.publish("a", fmt.Sprint(i))
		from.hub.AwaitHeir()
	}
	list, _ := hubs[2].hub.History("a", "", messages)
	for i, m := range list {
		if m.Data != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Data)
		}
	}
	if len(list) != messages {
		t.Errorf("%d messages", len(list))
	}
	for _, end := range ends {
		end()
	}
}

// One that takes over and has no room keeps the other one waiting. What was published there is not lost.
func TestHandOverNoRoom(t *testing.T) {
	t.Run("loop", func(t *testing.T) {
		loop := &realLoop{tasks: make(chan func(), 1024), end: make(chan struct{})} // it does not run yet
		defer close(loop.end)
		c := &counter{client: &client{t: t, takes: -1}, all: make(chan struct{})}
		noRoomFor(t, newRig(t, Options{QueueBytes: 20_000}), func(heir *Hub) {
			if err := heir.On(loop).Join(&c.Member, c, ""); err != nil {
				t.Fatal(err)
			}
			if err := c.Subscribe("a"); err != nil {
				t.Fatal(err)
			}
		}, func(published int) []string {
			c.n = published
			go loop.run()
			select {
			case <-c.all:
			case <-time.After(20 * time.Second):
				t.Fatal("messages are missing")
			}
			return c.data()
		})
	})
	t.Run("log", func(t *testing.T) {
		l := &fakeLog{full: true}
		noRoomFor(t, newLogRig(t, l), func(*Hub) {}, func(published int) (list []string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			for end := time.Now().Add(20 * time.Second); len(l.entries) < published && time.Now().Before(end); {
				l.full = l.refused == 0 // until the first one has found no room
				l.mu.Unlock()
				time.Sleep(time.Millisecond)
				l.mu.Lock()
			}
			for _, e := range l.entries {
				list = append(list, e.Post.Data)
			}
			return list
		})
	})
}

// noRoomFor publishes until there is no room in either process. begin is called when the new one has taken over, and end when it is to have
// room: it returns what has been published there.
func noRoomFor(t *testing.T, heir *rig, begin func(heir *Hub), end func(published int) []string) {
	old := newRig(t, Options{QueueBytes: 40_000})
	stop := handOver(t, old, heir)
	begin(heir.hub)
	published := 0
	for refused := 0; refused < 3; {
		switch _, err := old.hub.Publish("a", Post{Data: fmt.Sprint(published)}); err {
		case nil:
			published++
		case ErrBusy:
			refused++
		default:
			t.Fatal(err)
		}
	}
	if a, b := old.hub.Stats().Refused, heir.hub.Stats().Refused; a != 3 || b != 0 {
		t.Errorf("%d and %d messages refused, want 3 and none", a, b)
	}
	got := end(published)
	for i, data := range got {
		if data != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, data)
		}
	}
	if len(got) != published {
		t.Errorf("%d messages, %d were published", len(got), published)
	}
	stop()
}

// A hub that ends while it has no room waits no longer. It does not confirm what it has not published: the other process goes on with that.
func TestHandOverNoRoomEnds(t *testing.T) {
	l := &fakeLog{most: 2}
	hub := newLogRig(t, l).hub
	var posts, answers bytes.Buffer
	e := gob.NewEncoder(&posts)
	for i := range 4 {
		if err := e.Encode(&handedPost{"a", Post{Data: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	hub.Close()
	in := bufio.NewReader(&posts)
	if err := hub.follow(gob.NewDecoder(in), in, &answers); err != errEnds {
		t.Errorf("followed: %v", err)
	}
	if got := answers.Bytes(); !bytes.Equal(got, []byte{2}) || len(l.entries) != 2 {
		t.Errorf("%v confirmed, %d messages published", got, len(l.entries))
	}
}

// One that takes over and is silent holds up nobody for long. What it has not confirmed is not lost.
func TestHandOverSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := New(Options{})
		if err := hub.SetRules([]Rule{{Pattern: "a", Messages: 9}}); err != nil {
			t.Fatal(err)
		}
		there, here := net.Pipe()
		over := make(chan error, 1)
		go func() { over <- hub.HandOver(here) }()
		go io.Copy(io.Discard, there)
		synctest.Wait()
		began := time.Now()
		publish := func(data string, want time.Duration) {
			t.Helper()
			hub.Publish("a", Post{Data: data})
			hub.AwaitHeir()
			if d := time.Since(began); d != want {
				t.Errorf("%s: after %v, want %v", data, d, want)
			}
		}
		publish("1", heirTimeout)
		publish("2", heirTimeout)
		there.Write([]byte{1}) // it has the first
		synctest.Wait()
		publish("3", 2*heirTimeout)
		there.Close()
		if err := <-over; err == nil {
			t.Error("no error")
		}
		hub.AwaitHeir()
		if list, _ := hub.History("a", "", 9); len(list) != 2 || list[0].Data != "2" || list[1].Data != "3" {
			t.Errorf("%d messages", len(list))
		}
	})
}

func TestHandOverNonsense(t *testing.T) {
	r := newRig(t, Options{})
	there, here := net.Pipe()
	go func() {
		io.ReadFull(there, make([]byte, 50))
		go io.Copy(io.Discard, there)
		there.Write([]byte{1})
	}()
	if err := r.hub.HandOver(here); err != errAnswers {
		t.Error(err)
	}
}

// What the other process has not confirmed comes before all that is published when the hub goes on by itself.
func TestHandOverFailsInOrder(t *testing.T) {
	hub := New(Options{})
	l := &lockedLog{t: t, hub: hub}
	hub.UseLog(l)
	there, here := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- hub.HandOver(here) }()
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	hub.Publish("a", Post{Data: "1"})
	hub.Publish("a", Post{Data: "2"})
	there.Close()
	<-over
	if want := []string{"1", "2"}; !slices.Equal(l.appended, want) {
		t.Errorf("appended %q, want %q", l.appended, want)
	}
}

// What was published for the other process is not lost if the hub has to pass it on after all: that it takes more memory here, and that
// subscribers do not take it yet, is not the fault of those who were told that it is published.
func TestHandOverFailsNoRoom(t *testing.T) {
	r := newRig(t, Options{QueueBytes: 20_000})
	c := r.client(0, "", "a")
	there, here := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- r.hub.HandOver(here) }()
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, there)
	var published []string
	for {
		data := fmt.Sprintf("%01000d", len(published))
		_, err := r.hub.Publish("a", Post{Data: data})
		if err == ErrBusy {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, data)
	}
	there.Close()
	<-over
	r.settle()
	if !slices.Equal(c.data(), published) {
		t.Errorf("%d messages, %d were published", len(c.got), len(published))
	}
}

// Another process that neither reads nor ends keeps nobody: Reclaim is enough.
func TestReclaimFromSilent(t *testing.T) {
	r := newRig(t, Options{}, Rule{Pattern: "a", Messages: 5})
	there, here := net.Pipe()
	defer there.Close()
	over := make(chan error, 1)
	go func() { over <- r.hub.HandOver(here) }()
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil { // it writes
		t.Fatal(err)
	}
	r.publish("a", "1")
	r.hub.Reclaim()
	select {
	case err := <-over:
		if err != errReclaimed { // although it was writing
			t.Errorf("the end of it is %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("HandOver does not return")
	}
	if list, _ := r.hub.History("a", "", 9); len(list) != 1 {
		t.Errorf("%d messages", len(list))
	}
}

// lockedLog is a log of a hub that nobody else can use while it appends.
type lockedLog struct {
	t        *testing.T
	hub      *Hub
	appended []string
}

func (l *lockedLog) Append(_ string, p Post) error {
	if l.hub.mu.TryLock() {
		l.hub.mu.Unlock()
		l.t.Errorf("others may publish before %q", p.Data)
	}
	l.appended = append(l.appended, p.Data)
	return nil
}

// Both processes accept connections for a moment. A client of the new one that comes back to the old one keeps its place, which is beyond
// all that the old one knows: otherwise it would get messages twice, or be told of a loss.
func TestHandOverClientIsAhead(t *testing.T) {
	rule := Rule{Pattern: "*", Messages: 9}
	old, heir := newRig(t, Options{}, rule), newRig(t, Options{}, rule)
	old.publish("a", "1")
	stop := handOver(t, old, heir)
	first := heir.client(0, "0", "a")
	for _, data := range []string{"2", "3", "4"} {
		heir.publish("a", data)
	}
	heir.settle()
	first.want("1", "2", "3", "4")
	at := first.Position()
	back := func() {
		t.Helper()
		c := old.client(0, at, "a")
		old.settle()
		if c.lost != 0 || c.slow || len(c.got) != 0 || c.Position() != at {
			t.Errorf("at %s, not %s; told of loss %d times; got %q", c.Position(), at, c.lost, c.data())
		}
	}
	back()
	if c := old.client(0, "0123456789ab-1", "a"); !c.LossDue() {
		t.Error("a place in another order is known")
	}
	if c := old.client(0, strings.Split(at, "-")[0]+"-18446744073709551615", "a"); !c.LossDue() {
		t.Error("any place is known")
	}
	stop()
	back() // the old process is ending
}

// If the new process does not live, such a client gets what the old one publishes then.
func TestHandOverFailsClientIsAhead(t *testing.T) {
	rule := Rule{Pattern: "*", Messages: 9}
	old, heir := newRig(t, Options{}, rule), newRig(t, Options{}, rule)
	old.publish("a", "1")
	there, here := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- old.hub.HandOver(here) }()
	if _, err := heir.hub.TakeOver(there); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		heir.publish("a", "in the other process")
	}
	c := old.client(0, heir.hub.Position(), "a")
	there.Close()
	if err := <-over; err == nil {
		t.Error("no error")
	}
	old.publish("a", "2")
	old.settle()
	c.want("2")
}
