package proxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

// chaos is a proxy on a fakeLoop to which everything happens in any order.
type chaos struct {
	*fakeRig
	rand      *rand.Rand
	exchanges []*chaoticExchange
	steps     []string // for the report
}

// chaoticExchange is an exchange that is in progress, with what its client has still to send.
type chaoticExchange struct {
	*fakeExchange
	body    int // bytes of the request that are left
	peerEnd bool
}

// TestChaos: whatever happens in whatever order, the rules of the contract are kept, and nothing is left at the end. The fakes check
// the calls.
func TestChaos(t *testing.T) {
	for seed := range uint64(2000) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runChaos(t, seed) }) {
			return
		}
	}
}

func runChaos(t *testing.T, seed uint64) {
	o := upstream.Options{}
	if seed%4 == 0 { // targets are on trial most of the time
		o.Passive = upstream.Passive{Fails: 1, Out: time.Millisecond, OutMax: 2 * time.Millisecond, Panic: -1}
	}
	rig := newFakeRigOf(t, Config{Retry: Retrying{Times: 2, On: []int{503}, Budget: -1}}, o, upstream.Target{Addr: "10.0.0.1:80"})
	c := &chaos{fakeRig: rig, rand: rand.New(rand.NewPCG(seed, 1))}
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
		}
		if t.Failed() {
			t.Logf("steps: %s", strings.Join(c.steps, ", "))
		}
	}()
	if err := c.set.Replace(upstream.Target{Addr: "10.0.0.1:80", Slots: 2}, upstream.Target{Addr: "10.0.0.2:80"}, upstream.Target{Addr: "10.0.0.3:80", Slots: 1}); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		c.l.now += 500 * time.Microsecond
		c.step()
	}
	for _, x := range c.exchanges {
		if !x.over {
			x.over = true
			x.running.Cancel()
		}
	}
	c.l.run()
	for _, conn := range c.l.dialed { // what is kept ends
		if !conn.closed {
			conn.gives("", true)
		}
	}
	for _, s := range c.set.Servers() {
		if s.Active() != 0 {
			t.Errorf("%s: %d requests are still counted", s.Addr(), s.Active())
		}
	}
	if c.set.Waiting() != 0 || c.loop.links.First() != nil {
		t.Errorf("%d requests wait, connections left: %v", c.set.Waiting(), c.loop.links.First() != nil)
	}
	c.wantsNoTrials()
}

// wantsNoTrials checks that every target gets requests when its time is over, since no trial is in progress. If that is true of none, it does
// not see it: then all count as up.
func (c *chaos) wantsNoTrials() {
	all, picker, later := c.set.Servers(), c.set.Picker(0, 1), c.l.Now()+int64(time.Hour)
	for i, s := range all {
		others := slices.Delete(slices.Clone(all), i, i+1)
		if _, err := picker.Pick(later, 0, others); err != nil {
			c.t.Errorf("%s gets no request any more: %v", s.Addr(), err)
			continue
		}
		s.End(later, upstream.Unknown)
	}
}

func (c *chaos) step() {
	kind := c.rand.IntN(10)
	c.steps = append(c.steps, [...]string{"start", "run", "run", "target", "target", "target", "client", "client", "timeout", "gone"}[kind])
	switch kind {
	case 0:
		c.begin()
	case 1, 2:
		c.l.refuse = nil
		if c.rand.IntN(5) == 0 {
			c.l.refuse = errSome
		}
		c.l.run()
	case 3, 4, 5:
		c.target()
	case 6, 7:
		c.client()
	case 8:
		c.timeOut()
	case 9:
		c.gone()
	}
}

func (c *chaos) begin() {
	x := &chaoticExchange{fakeExchange: &fakeExchange{t: c.t, takes: 1 + c.rand.IntN(200)}}
	head, body := "GET / HTTP/1.1\r\nHost: x\r\n", ""
	switch c.rand.IntN(4) {
	case 0:
		x.body = 50
		head, body = fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", x.body+4), "body"
	case 1:
		x.body = 50
		head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
	case 2:
		head = "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n"
	}
	c.startOn(x.fakeExchange, head+"\r\n", body, x.body > 0)
	c.exchanges = append(c.exchanges, x)
}

var chaoticAnswers = []string{
	ok("hello"), ok(strings.Repeat("x", 500)), hints + ok("x"), "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 204 No\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nto the end", "garbage\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 101 Switch\r\n\r\n",
}

// target lets something happen on a connection to a target.
func (c *chaos) target() {
	if len(c.l.dialed) == 0 {
		return
	}
	conn := c.l.dialed[c.rand.IntN(len(c.l.dialed))]
	if conn.closed {
		return
	}
	switch c.rand.IntN(8) {
	case 0:
		conn.gives("", true)
	case 1:
		conn.closed = true
		conn.stream.Closed(conn, errSome)
		conn.in = nil
	case 2:
		conn.full = !conn.full
		if !conn.full {
			conn.stream.Room(conn)
		}
	default:
		text := chaoticAnswers[c.rand.IntN(len(chaoticAnswers))]
		if cut := c.rand.IntN(len(text)); c.rand.IntN(3) == 0 {
			text = text[:cut]
		}
		if !conn.ended {
			conn.gives(text, false)
		}
	}
}

// client lets a client take something, send something, or go.
func (c *chaos) client() {
	if len(c.exchanges) == 0 {
		return
	}
	x := c.exchanges[c.rand.IntN(len(c.exchanges))]
	switch {
	case x.over:
	case x.wants && c.rand.IntN(2) == 0:
		x.wants = false
		x.running.OutputRoom()
	case x.body > 0:
		a, _ := x.running.BodyRoom()
		if len(a) == 0 {
			return
		}
		n := min(x.body, 1+c.rand.IntN(30))
		x.body -= n
		x.running.BodyCommit(copy(a, strings.Repeat("b", n)))
		if x.body == 0 && !x.over {
			x.running.BodyEnd()
		}
	}
}

func (c *chaos) timeOut() {
	for k := range c.loop.links.All() {
		if c.rand.IntN(3) == 0 && k.deadline != never {
			k.timedOut()
			return
		}
	}
}

// gone lets a client break off.
func (c *chaos) gone() {
	if len(c.exchanges) == 0 {
		return
	}
	x := c.exchanges[c.rand.IntN(len(c.exchanges))]
	switch {
	case x.over:
	case c.rand.IntN(3) == 0 && x.body > 0:
		x.body = 0
		x.running.BodyAbort(c.rand.IntN(2) == 0)
	case c.rand.IntN(2) == 0 && !x.peerEnd:
		x.peerEnd = true
		x.running.PeerEnd()
	default:
		x.over = true
		x.running.Cancel()
	}
}
