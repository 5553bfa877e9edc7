package stream_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"moonbridge/handler/channel"
)

func TestEvents(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "*", Messages: 100})
	c := s.open("c=a&c=b")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Origin"} {
		if got := c.resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if c.resp.Header.Get("Date") == "" {
		t.Error("no date")
	}
	s.publish("a", "1", "two\nlines\r\nand\rmore\n", "")
	s.publish("b", "4")
	s.publish("other", "5")
	c.want("1", "two\nlines\nand\nmore\n", "", "4")
	if _, err := s.hub.Publish("a", channel.Post{Data: "x", Event: "joined", ID: "own"}); err != nil {
		t.Fatal(err)
	}
	if e := c.read(); e.event != "joined" || e.id != "own" || e.data != "x" {
		t.Errorf("got %+v", e)
	}
	c.resp.Body.Close()
	s.until("the subscriber leaves", func() bool { return s.hub.Count("a") == 0 })
}

func TestEventsResume(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "a", Messages: 10})
	s.publish("a", "before")
	c := s.open("c=a")
	s.publish("a", "1", "2", "3")
	c.want("1", "2")
	again := s.open("c=a&after=" + c.id)
	s.publish("a", "4")
	again.want("3", "4")
	s.open("c=a&after=0").want("before", "1", "2", "3", "4")
	for range 11 {
		s.publish("a", "x")
	}
	late := s.open("c=a&after=" + c.id)
	if e := late.read(); e.event != "lost" {
		t.Errorf("got %+v, want to be told that messages are lost", e)
	}
	late.want("x")
}

// A client that loses its connection before the first message comes back with the id from the start of the stream.
func TestEventsFirst(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "a", Messages: 10})
	c := s.dial("GET /?c=a&first=hello%0Ayou&retry=1500ms HTTP/1.0\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !resp.Close || resp.ContentLength != -1 || len(resp.TransferEncoding) > 0 {
		t.Errorf("HTTP/1.0: %+v", resp.Header)
	}
	want := "retry: 1500\ndata: hello\ndata: you\nid: " + s.hub.Position() + "\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
		t.Errorf("begins with %q, %v; want %q", got, err, want)
	}
}

func TestEventsHead(t *testing.T) {
	s := newSite(t)
	resp, err := http.Head("http://" + s.addr + "/?c=a&first=x")
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%+v, %v", resp, err)
	}
	s.until("the subscriber leaves", func() bool { return s.hub.Count("a") == 0 })
}

func TestEventsComments(t *testing.T) {
	s := newSite(t)
	a, b := s.open("c=a&keepalive=20ms"), s.open("c=a&keepalive=-1s")
	for range 3 {
		if e := a.read(); !e.comment {
			t.Fatalf("got %+v, want a comment", e)
		}
	}
	s.publish("a", "1")
	for e := a.read(); e.data != "1"; e = a.read() {
		if !e.comment {
			t.Fatalf("got %+v", e)
		}
	}
	b.want("1") // without a comment before
}

func TestEventsRefused(t *testing.T) {
	s := newSite(t)
	for query, want := range map[string]int{"": 404, "c=": 503, "c=a*": 503, "c=a&key=%0A": 503} {
		resp, err := http.Get("http://" + s.addr + "/?" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d", query, resp.StatusCode, want)
		}
	}
	if n := s.hub.Stats().Subscribers; n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

// A pipelined stream has its turn after the responses before it.
func TestEventsPipelined(t *testing.T) {
	s := newSite(t)
	c := s.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /?c=a HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 404 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	s.until("it subscribes", func() bool { return s.hub.Count("a") == 1 })
	s.publish("a", "1")
	body := bufio.NewReader(resp.Body)
	for line := ""; line != "data: 1\n"; {
		if line, err = body.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsHalfClosed(t *testing.T) {
	s := newSite(t)
	c := s.dial("GET /?c=a HTTP/1.1\r\nHost: x\r\n\r\n")
	c.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	s.until("the subscriber leaves", func() bool { return s.hub.Count("a") == 0 })
}

func TestDrain(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "a", Messages: 10})
	var all []*source
	for range 20 {
		all = append(all, s.open("c=a"))
	}
	got := make(chan int)
	go func() {
		resp, err := http.Get("http://" + s.addr + "/?poll&c=a")
		if err != nil {
			t.Error(err)
			got <- 0
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	s.until("all wait", func() bool { return s.hub.Count("a") == 21 })
	s.hub.Drain()
	for _, c := range all {
		if e := c.read(); e.err != io.EOF {
			t.Fatalf("got %+v, want the end", e)
		}
	}
	if status := <-got; status != 204 {
		t.Errorf("a poll: status %d, want 204", status)
	}
	if e := s.open("c=a").read(); e.err != io.EOF {
		t.Errorf("a stream that begins later: %+v, want the end", e)
	}
}

// A slow client costs little, and gets all that the history has when it reads on. One that has missed something is ended, and is told
// when it comes back.
func TestEventsSlow(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "long", Messages: 100_000}, channel.Rule{Pattern: "short", Messages: 3})
	text := strings.Repeat("x", 10_000)
	long, short := s.open("c=long"), s.open("c=short")
	const n = 2000 // more than sockets hold
	for i := range n {
		s.publish("long", fmt.Sprint(i, " ", text))
		s.publish("short", fmt.Sprint(i, " ", text))
		if i%100 == 0 {
			s.until("the loops have passed it on", func() bool { return s.hub.Waiting() == 0 })
		}
	}
	for i := range n {
		long.want(fmt.Sprint(i, " ", text))
	}
	last := -1
	for {
		e := short.read()
		if e.err != nil {
			break
		}
		i := -1
		if fmt.Sscan(e.data, &i); i != last+1 {
			t.Fatalf("message %d after %d", i, last)
		}
		last = i
	}
	if last == n-1 {
		t.Fatal("it got everything: the test is not one")
	}
	back := s.open("c=short&after=" + short.id)
	if e := back.read(); e.event != "lost" {
		t.Errorf("got %+v, want to be told that messages are lost", e)
	}
	back.want(fmt.Sprint(n-3, " ", text))
	if s.hub.Stats().Slow == 0 {
		t.Error("it is not counted")
	}
}

// A client with an id that is not known has no other one before it is told: it may lose the connection in between.
func TestEventsLostFirst(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "a", Messages: 10})
	s.publish("a", "1")
	resp, err := http.Get("http://" + s.addr + "/?c=a&after=unknown")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c := &source{t: t, resp: resp, in: bufio.NewReader(resp.Body)}
	if e := c.read(); e.event != "lost" || e.id != s.hub.Position() {
		t.Errorf("the first event is %+v, want lost, and the id %s", e, s.hub.Position())
	}
}

// What comes before all others is an event of its own, also for a client that is told of a loss then.
func TestEventsFirstBeforeLost(t *testing.T) {
	s := newSite(t)
	resp, err := http.Get("http://" + s.addr + "/?c=a&after=unknown&first=state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c := &source{t: t, resp: resp, in: bufio.NewReader(resp.Body)}
	if e := c.read(); e.event != "" || e.data != "state" || e.id != "" {
		t.Errorf("the first event is %+v, want the state, without an id", e)
	}
	if e := c.read(); e.event != "lost" || e.data != "" || e.id != s.hub.Position() {
		t.Errorf("the second event is %+v, want lost, without data, and the id %s", e, s.hub.Position())
	}
}
