package stream_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/channel"
	"moonbridge/handler/channel/stream"
	"moonbridge/httpparse"
)

// patience bounds every wait of a test.
const patience = time.Minute

// site is a server whose requests name in their query what they want.
type site struct {
	t    *testing.T
	hub  *channel.Hub
	e    *engine.Engine
	addr string
}

func newSite(t *testing.T, rules ...channel.Rule) *site {
	t.Helper()
	hub := channel.New(channel.Options{})
	t.Cleanup(hub.Close)
	if err := hub.SetRules(rules); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := stream.NewBackend(hub, ask)
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hub.Drain()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return &site{t, hub, e, ln.Addr()}
}

// ask takes a request from the query: channels, after, first, and times.
func ask(h *httpparse.Head) (*stream.Request, int) {
	v, err := url.ParseQuery(strings.TrimPrefix(string(h.Bytes(h.Query)), "?"))
	if err != nil || !v.Has("c") {
		return nil, 404
	}
	q := &stream.Request{Channels: v["c"], After: v.Get("after"), Key: v.Get("key"), Poll: v.Has("poll"), Fields: []byte("Vary: Origin\r\n")}
	if v.Has("first") {
		first := v.Get("first")
		q.First = &first
	}
	q.Timeout, _ = time.ParseDuration(v.Get("timeout"))
	q.KeepAlive, _ = time.ParseDuration(v.Get("keepalive"))
	q.Retry, _ = time.ParseDuration(v.Get("retry"))
	return q, 0
}

// event is what a client gets: an event, or a comment.
type event struct {
	id, event, data string
	comment         bool
	err             error
}

// source is a client of a stream.
type source struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	id   string // the last one
}

func (s *site) open(query string) *source {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + "/?" + query)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		s.t.Fatalf("status %d", resp.StatusCode)
	}
	c := &source{t: s.t, resp: resp, in: bufio.NewReader(resp.Body)}
	if e := c.read(); e.id == "" || e.data != "" {
		s.t.Fatalf("begins with %+v, not with an id", e)
	}
	return c
}

// read reads the next event, comment, or error.
func (c *source) read() (e event) {
	var data []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return event{err: err}
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			e.data = strings.Join(data, "\n")
			if e.id != "" {
				c.id = e.id
			}
			return e
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			e.comment = true
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			data = append(data, value)
		}
	}
}

func (c *source) want(data ...string) {
	c.t.Helper()
	for _, d := range data {
		if e := c.read(); e.err != nil || e.data != d {
			c.t.Fatalf("got %+v, want %q", e, d)
		}
	}
}

func (s *site) publish(name string, data ...string) {
	s.t.Helper()
	for _, d := range data {
		if _, err := s.hub.Publish(name, channel.Post{Data: d}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// until waits for a condition.
func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// dial connects, and sends text.
func (s *site) dial(text string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
	return c
}
