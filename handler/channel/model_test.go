package channel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestModel lets clients come, go, stop and come back with the id of their last message, while messages are published. Each gets every
// message of its channels in order, once, or is told that some are lost, wherever they are missing.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		r := newRig(t, Options{}, Rule{Pattern: "short*", Messages: 5}, Rule{Pattern: "long*", Messages: 10_000})
		rnd := rand.New(rand.NewPCG(seed, 1))
		names := []string{"short1", "short2", "long1", "long2", "none"}
		var all []*Message
		var clients []*modelClient
		for step := range 3000 {
			switch n := rnd.IntN(20); {
			case n < 8:
				name := names[rnd.IntN(len(names))]
				r.publish(name, fmt.Sprint(step))
				all = append(all, &Message{Channel: name, Seq: r.hub.seq})
			case n < 10 && len(clients) < 30:
				rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				c := &modelClient{client: client{t: t, takes: -1}, loop: rnd.IntN(2), names: slices.Clone(names[:1+rnd.IntN(3)]), from: r.hub.seq}
				c.join(r, "")
				clients = append(clients, c)
			case len(clients) == 0:
			case n < 12:
				r.loops[rnd.IntN(2)].turn()
			case n < 14:
				c := clients[rnd.IntN(len(clients))]
				c.takes = rnd.IntN(3) + 1
			case n < 18:
				c := clients[rnd.IntN(len(clients))]
				if c.takes = -1; c.l != nil {
					c.Resume()
				}
			default:
				c := clients[rnd.IntN(len(clients))]
				if c.l != nil {
					c.Leave()
				}
				after := r.hub.era().id(c.from)
				if n := len(c.got); n > 0 {
					after = c.got[n-1].Position()
				}
				c.takes, c.slow = -1, false
				c.join(r, after)
			}
		}
		for _, c := range clients {
			if c.takes = -1; c.l != nil {
				c.Resume()
			}
		}
		r.settle()
		for i, c := range clients {
			c.check(fmt.Sprintf("seed %d: client %d", seed, i), all)
		}
		if t.Failed() {
			return
		}
	}
}

type modelClient struct {
	client
	loop  int
	names []string
	from  uint64
}

func (c *modelClient) join(r *rig, after string) {
	if err := r.hub.On(r.loops[c.loop]).Join(&c.Member, c, ""); err != nil {
		c.t.Fatal(err)
	}
	if err := c.SubscribeAfter(after, c.names...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *modelClient) check(who string, all []*Message) {
	c.t.Helper()
	for i, m := range c.got {
		if i > 0 && m.Seq <= c.got[i-1].Seq {
			c.t.Fatalf("%s: message %d after %d", who, m.Seq, c.got[i-1].Seq)
		}
		if m.Seq <= c.from {
			c.t.Fatalf("%s: message %d from before it came, at %d", who, m.Seq, c.from)
		}
	}
	i := 0 // so many of its messages are up to the one that is looked at
	for _, m := range all {
		switch {
		case m.Seq <= c.from || !slices.Contains(c.names, m.Channel):
		case i < len(c.got) && c.got[i].Seq == m.Seq:
			i++
		case i == len(c.got) && c.slow: // it has to come back
		case m.Seq > c.lostUpTo[m.Channel]:
			c.t.Fatalf("%s on %q: message %d of %s is missing, and it was not told", who, c.names, m.Seq, m.Channel)
		}
	}
}

// TestTogether publishes from several goroutines to members on loops with goroutines of their own.
func TestTogether(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	if err := h.SetRules([]Rule{{Pattern: "*", Messages: 100_000}}); err != nil {
		t.Fatal(err)
	}
	const publishers, each, members = 4, 500, 20
	var loops []*realLoop
	for i := range 2 {
		l := &realLoop{fakeLoop: fakeLoop{index: i}, tasks: make(chan func(), 1024), end: make(chan struct{})}
		defer close(l.end)
		loops = append(loops, l)
		go l.run()
	}
	got := make([]chan struct{}, 2*members)
	clients := make([]*client, 2*members)
	for i := range clients {
		got[i] = make(chan struct{})
		c := &client{t: t, takes: -1}
		clients[i] = c
		loops[i%2].Post(func() {
			l := h.On(loops[i%2])
			if err := l.Join(&c.Member, counter{c, publishers * each, got[i]}, ""); err != nil {
				t.Error(err)
			}
			if err := c.SubscribeAfter("0", "a", "b"); err != nil {
				t.Error(err)
			}
		})
	}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if _, err := h.Publish([]string{"a", "b"}[p%2], Post{Data: fmt.Sprint(p, ".", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range clients {
		select {
		case <-got[i]:
		case <-time.After(60 * time.Second):
			t.Fatal("messages are missing")
		}
		for j := 1; j < len(clients[i].got); j++ {
			if clients[i].got[j].Seq <= clients[i].got[j-1].Seq {
				t.Fatal("out of order")
			}
		}
	}
}

// counter says when its client has n messages.
type counter struct {
	*client
	n   int
	all chan struct{}
}

func (c counter) Deliver(r *Run) bool {
	c.client.Deliver(r)
	if len(c.got) == c.n {
		close(c.all)
	}
	return true
}

// realLoop has a goroutine.
type realLoop struct {
	fakeLoop
	tasks chan func()
	end   chan struct{}
}

func (l *realLoop) Post(fn func()) {
	go func() {
		select {
		case l.tasks <- fn:
		case <-l.end:
		}
	}()
}

func (l *realLoop) Now() int64   { return time.Now().UnixNano() }
func (l *realLoop) Clock() int64 { return time.Now().UnixNano() }

func (l *realLoop) run() {
	for {
		select {
		case fn := <-l.tasks:
			fn()
		case <-l.end:
			return
		}
	}
}
