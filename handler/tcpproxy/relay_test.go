package tcpproxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
)

// Both directions work, and each ends by itself.
func TestRelay(t *testing.T) {
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, says(t, "hello ")))}, nil)
	if got := r.ask("world"); got != "hello world" {
		t.Errorf("%q", got)
	}
	if e := r.over(1); e.Err != nil || e.Target == "" || !e.Client.Remote.IsValid() {
		t.Errorf("%+v", e)
	}
	// The target ends first, and still gets what the client sends.
	got := make(chan string, 1)
	r = newRig(t, Config{To: To(set(t, upstream.Options{}, target(t, func(c *net.TCPConn) {
		io.WriteString(c, "all that I say")
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	})))}, nil)
	c := r.dial()
	if b, err := io.ReadAll(c); string(b) != "all that I say" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(c, "still ")
	io.WriteString(c, "here")
	c.CloseWrite()
	if b := <-got; b != "still here" {
		t.Errorf("the target has got %q", b)
	}
	if e := r.over(1); e.Err != nil {
		t.Error(e.Err)
	}
}

// The connection to the target is counted until it is closed.
func TestConnectionsAreCounted(t *testing.T) {
	s := set(t, upstream.Options{}, says(t, "hello"))
	r := newRig(t, Config{To: To(s)}, nil)
	count := func() (n int) {
		for _, of := range s.Status()[0].Conns {
			n += of
		}
		return n
	}
	c := r.dial()
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil || count() != 1 {
		t.Errorf("%d connections, %v", count(), err)
	}
	c.Close()
	until(t, "none is counted", func() bool { return count() == 0 })
}

// A lot of data passes in both directions at once, with small bounds and a peer that reads late. Not a byte is lost, and not
// more is held than the bounds allow: both senders wait.
func TestRelayBackPressure(t *testing.T) {
	const size = 32 << 20 // more than the system holds
	data := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuv"), size/32)
	r := newRig(t, Config{
		To:     To(set(t, upstream.Options{}, says(t, ""))),
		Bounds: backend.Bounds{Input: 4 << 10, Output: 16 << 10},
	}, nil)
	// The client's receive buffer stays as it is. If it shrinks on an open connection, Linux sends a window of a few KiB at each
	// tick of its persist timer, of which there are five in a second.
	c := r.dial()
	// The echo is not read, so the client is stopped by the proxy long before all is written.
	c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := c.Write(data)
	if err == nil {
		t.Skip("the system holds all of it")
	}
	c.SetWriteDeadline(time.Now().Add(patience))
	go func() {
		c.Write(data[n:])
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A side that breaks is broken on the other side too: what was sent must not look complete.
func TestRelayBroken(t *testing.T) {
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, target(t, func(c *net.TCPConn) {
		io.WriteString(c, "half of it")
		io.ReadFull(c, make([]byte, 2))
		reset(c)
	})))}, nil)
	c := r.dial()
	io.ReadFull(c, make([]byte, len("half of it")))
	io.WriteString(c, "ok")
	if _, ok := isReset(c); !ok {
		t.Error("the client is not reset")
	}
	if e := r.over(1); e.Err == nil {
		t.Error("no error in the record")
	}

	seen := make(chan bool, 1)
	r = newRig(t, Config{To: To(set(t, upstream.Options{}, target(t, func(c *net.TCPConn) {
		io.WriteString(c, "x")
		_, ok := isReset(c)
		seen <- ok
	})))}, nil)
	c = r.dial()
	io.ReadFull(c, make([]byte, 1))
	reset(c)
	if !<-seen {
		t.Error("the target is not reset")
	}
	r.over(1)
}

// A client that has sent everything and goes away: the target has got all of it, properly ended.
func TestClientLeavesAfterItsEnd(t *testing.T) {
	got := make(chan string, 1)
	sent := make(chan struct{})
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, target(t, func(c *net.TCPConn) {
		<-sent
		b, err := io.ReadAll(c)
		if err != nil {
			b = []byte(err.Error())
		}
		got <- string(b)
	})))}, nil)
	c := r.dial()
	io.WriteString(c, "the last words")
	c.CloseWrite()
	until(t, "there is a session", func() bool { return r.proxy.Sessions() == 1 })
	reset(c)
	close(sent)
	if b := <-got; b != "the last words" && !strings.Contains(b, "reset") {
		t.Errorf("%q", b)
	}
	r.over(1)
}

// Targets that cannot be connected to are passed over. If there are no others, the client is reset, and the log says why.
func TestConnectFails(t *testing.T) {
	s := set(t, upstream.Options{Balance: upstream.RoundRobin(), Passive: upstream.Passive{Fails: -1}}, nobody(t), says(t, "up "), nobody(t))
	r := newRig(t, Config{To: To(s)}, nil)
	for range 6 {
		if got := r.ask("x"); got != "up x" {
			t.Errorf("%q", got)
		}
	}
	r = newRig(t, Config{To: To(set(t, upstream.Options{}, nobody(t), nobody(t)))}, nil)
	if !r.refused() {
		t.Error("the client is not reset")
	}
	if e := r.over(1); e.Err == nil || e.Target != "" {
		t.Errorf("%+v", e)
	}
	if text := r.logged(); !strings.Contains(text, `msg="connections not passed on" cause="connect: connection refused"`) {
		t.Error(text)
	}
}

// A target that failed is left out for a while, gets one connection on trial, and then its share, though that connection lasts.
func TestTrialOfTarget(t *testing.T) {
	address := nobody(t)
	s := set(t, upstream.Options{Passive: upstream.Passive{Fails: 1, Out: time.Nanosecond, OutMax: time.Nanosecond}}, address)
	r := newRig(t, Config{To: To(s)}, nil)
	if !r.refused() {
		t.Error("the client is not reset")
	}
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 3 {
		c := r.dial()
		io.WriteString(c, "x")
		at, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer at.Close()
		at.SetDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(at, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		defer c.Close()
	}
	if st := s.Status(); !st[0].Up {
		t.Errorf("%+v", st)
	}
}

// The end of a session is no success of its target, which may have failed meanwhile.
func TestEndIsNoSuccess(t *testing.T) {
	s := set(t, upstream.Options{Passive: upstream.Passive{Fails: 1, Out: time.Nanosecond, OutMax: time.Nanosecond}}, says(t, "x"))
	r := newRig(t, Config{To: To(s)}, nil)
	c := r.dial()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	clock := r.engine.Loop(0).Clock
	v, err := s.Picker(0, 1).Pick(clock(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.End(clock(), upstream.Failed)
	c.Close()
	r.over(1)
	if st := s.Status()[0]; st.Why != "on trial" || st.Requests != 2 || st.Active != 0 {
		t.Errorf("%+v", st)
	}
}

// Without a service, or above the bound on sessions, connections are reset.
func TestRefused(t *testing.T) {
	r := newRig(t, Config{}, nil)
	if !r.refused() {
		t.Error("not reset without a service")
	}
	if e := r.over(1); e.Err != ErrNoService {
		t.Error(e.Err)
	}
	r = newRig(t, Config{Sessions: 1, To: To(set(t, upstream.Options{}, says(t, "hi")))}, nil)
	first := r.dial()
	io.ReadFull(first, make([]byte, 2))
	if !r.refused() {
		t.Error("not reset above the bound")
	}
	if e := r.over(1); e.Err != ErrSessions {
		t.Error(e.Err)
	}
	first.Close()
	r.over(2)
	if got := r.ask("x"); got != "hix" {
		t.Errorf("%q", got)
	}
}

// Connections wait while all slots of the targets are taken, for a bounded time and in a bounded number.
func TestSlots(t *testing.T) {
	s, err := upstream.New(upstream.Options{Queue: 1}, upstream.Target{Addr: says(t, "hi"), Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{To: To(s)}, nil)
	first := r.dial()
	io.ReadFull(first, make([]byte, 2))
	second := r.dial()
	until(t, "the second is there", func() bool { return r.proxy.Sessions() == 2 })
	third := r.tryDial() // whichever of the two comes later finds the queue full
	e := r.over(1)
	if e.Err != ErrBusy {
		t.Error(e.Err)
	}
	first.Close()
	var got string
	for _, c := range []*net.TCPConn{second, third} {
		if c == nil {
			continue
		}
		c.CloseWrite()
		if b, err := io.ReadAll(c); err == nil {
			got += string(b)
		}
	}
	if got != "hi" {
		t.Errorf("the one that has waited got %q", got)
	}

	s, err = upstream.New(upstream.Options{QueueTime: time.Millisecond}, upstream.Target{Addr: says(t, "hi"), Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	r = newRig(t, Config{To: To(s)}, nil)
	first = r.dial()
	io.ReadFull(first, make([]byte, 2))
	if !r.refused() {
		t.Error("one that has waited for too long is not reset")
	}
	// One that leaves while it waits ends when it gets its turn, or before.
	s, err = upstream.New(upstream.Options{Queue: 1, QueueTime: patience}, upstream.Target{Addr: says(t, "hi"), Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	r = newRig(t, Config{To: To(s)}, nil)
	first = r.dial()
	io.ReadFull(first, make([]byte, 2))
	second = r.dial()
	until(t, "the second is there", func() bool { return r.proxy.Sessions() == 2 })
	second.Close()
	first.Close()
	until(t, "both are over", func() bool { return r.proxy.Sessions() == 0 })
	if got := r.ask("x"); got != "hix" {
		t.Errorf("%q", got)
	}
}

// All slots that become free at once are used. Those who wait get a target that was left out when its time is over, at the latest when
// theirs is.
func TestSlotsAreFilled(t *testing.T) {
	a := upstream.Target{Addr: says(t, "hi"), Slots: 1}
	s, err := upstream.New(upstream.Options{QueueTime: patience}, a)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{To: To(s)}, nil)
	first := r.dial()
	io.ReadFull(first, make([]byte, 2))
	var waiting []*net.TCPConn
	for range 3 {
		waiting = append(waiting, r.dial())
	}
	until(t, "all wait", func() bool { return s.Waiting() == 3 })
	a.Slots = 4
	if err := s.Replace(a); err != nil {
		t.Fatal(err)
	}
	for _, c := range waiting {
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			t.Error(err)
		}
	}

	b := upstream.Target{Addr: says(t, "ho")}
	a.Slots = 1
	s, err = upstream.New(upstream.Options{QueueTime: 100 * time.Millisecond, Passive: upstream.Passive{Fails: 1, Out: 20 * time.Millisecond},
		Balance: upstream.RoundRobin()}, b, a)
	if err != nil {
		t.Fatal(err)
	}
	r = newRig(t, Config{To: To(s)}, nil)
	now := r.engine.Loop(0).Clock()
	v, err := s.Picker(0, 1).Pick(now, 0, s.Servers()[:1]) // the slot of a
	if err != nil {
		t.Fatal(err)
	}
	defer v.End(now, upstream.Unknown)
	w, err := s.Picker(0, 1).Pick(now, 0, s.Servers()[1:])
	if err != nil {
		t.Fatal(err)
	}
	w.End(now, upstream.Failed)
	c := r.dial()
	got := make([]byte, 2)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ho" {
		t.Errorf("%q, %v", got, err)
	}
}

// A session in which nothing moves ends.
func TestIdle(t *testing.T) {
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, says(t, "hi"))), Bounds: backend.Bounds{Idle: time.Second}}, nil)
	c := r.dial()
	if b, _ := io.ReadAll(c); string(b) != "hi" {
		t.Errorf("%q", b)
	}
	if e := r.over(1); e.Err == nil {
		t.Error("no error")
	}
}

// A drain ends connections that have not said what they want. Sessions go on until they end.
func TestDrain(t *testing.T) {
	r := newRig(t, Config{Sniff: SniffHTTP, SniffTime: patience, To: To(set(t, upstream.Options{}, says(t, "hi ")))}, nil)
	silent, busy := r.dial(), r.dial()
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	io.ReadFull(busy, make([]byte, 3))
	until(t, "both are there", func() bool { return r.proxy.Sessions() == 2 })
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- r.engine.Drain(ctx)
	}()
	if b, err := io.ReadAll(silent); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(busy, "more")
	busy.CloseWrite()
	if b, err := io.ReadAll(busy); !strings.HasSuffix(string(b), "more") || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
