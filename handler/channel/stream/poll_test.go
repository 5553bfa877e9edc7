package stream_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/channel"
)

// answer is the response to a poll.
type answer struct {
	status  int
	next    string // Last-Event-ID
	header  http.Header
	ID      string
	Lost    bool
	Message []struct{ Channel, ID, Event, Data string } `json:"messages"`
}

func (a *answer) data() string {
	var list []string
	for _, m := range a.Message {
		list = append(list, m.Channel+":"+m.Data)
	}
	return strings.Join(list, " ")
}

func (s *site) poll(query string) *answer {
	resp, err := http.Get("http://" + s.addr + "/?poll&" + query)
	if err != nil {
		s.t.Error(err)
		return &answer{}
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, next: resp.Header.Get("Last-Event-ID"), header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	if err == nil && a.status == 200 {
		err = json.Unmarshal(text, a)
	}
	if err != nil || a.status == 200 && a.ID != a.next {
		s.t.Errorf("%v: %s, next is %s", err, text, a.next)
	}
	return a
}

func TestPoll(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "*", Messages: 5})
	s.publish("a", "old")
	a := s.poll("c=a&c=b&timeout=10ms")
	if a.status != 204 || a.next != s.hub.Position() || a.header.Get("Vary") != "Origin" {
		t.Fatalf("without a message: %+v", a)
	}
	s.publish("a", "1", "<2>")
	s.publish("b", "3\xff")
	a = s.poll("c=a&c=b&after=" + a.next)
	if a.data() != "a:1 a:<2> b:3\ufffd" || a.Lost || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %+v", a)
	}
	wait := make(chan *answer)
	go func() { wait <- s.poll("c=a&c=b&after=" + a.next) }()
	s.until("it waits", func() bool { return s.hub.Count("a") == 1 })
	s.publish("b", "4")
	if b := <-wait; b.data() != "b:4" {
		t.Errorf("got %+v", b)
	}
	for range 6 {
		s.publish("a", "x")
	}
	if b := s.poll("c=a&after=" + a.next); !b.Lost || b.data() != "a:x a:x a:x a:x a:x" {
		t.Errorf("after a loss: %+v", b)
	}
	if b := s.poll("c=none&after=never-seen"); !b.Lost || b.data() != "" {
		t.Errorf("with an unknown id: %+v", b)
	}
	if n := s.hub.Stats().Subscribers; n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

// The connection of a poll persists.
func TestPollAgain(t *testing.T) {
	s := newSite(t)
	c := s.dial("GET /?poll&c=a&timeout=1ms HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(c)
	for i := range 3 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 204 || resp.Close {
			t.Fatal(resp, err)
		}
		if i < 2 {
			io.WriteString(c, "GET /?poll&c=a&timeout=1ms HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
	io.WriteString(c, "GET /?poll&c=a&timeout=1ms HTTP/1.0\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 204 || !resp.Close {
		t.Fatal(resp, err)
	}
}

func TestPollHead(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "*", Messages: 5})
	s.publish("a", "1")
	resp, err := http.Head("http://" + s.addr + "/?poll&c=a&after=0")
	if err != nil || resp.StatusCode != 200 || resp.ContentLength < 10 {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestPollGone(t *testing.T) {
	s := newSite(t)
	c := s.dial("GET /?poll&c=a HTTP/1.1\r\nHost: x\r\n\r\n")
	s.until("it waits", func() bool { return s.hub.Count("a") == 1 })
	c.Close()
	s.until("the subscriber leaves", func() bool { return s.hub.Count("a") == 0 })
	s.until("the connection ends", func() bool { return s.e.Conns() == 0 })
}

// The messages that a poll waits for do not exist any more.
func TestPollLoses(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "*", Messages: 5})
	s.publish("a", "1")
	wait := make(chan *answer)
	go func() { wait <- s.poll("c=a") }()
	s.until("it waits", func() bool { return s.hub.Count("a") == 1 })
	s.hub.Skip(100)
	a := <-wait
	if !a.Lost || a.data() != "" {
		t.Errorf("got %+v", a)
	}
	s.publish("a", "2")
	if b := s.poll("c=a&after=" + a.next); b.Lost || b.data() != "a:2" {
		t.Errorf("after that: %+v", b)
	}
}

// A large answer to a client that takes its time.
func TestPollSlow(t *testing.T) {
	s := newSite(t, channel.Rule{Pattern: "*", Messages: 50})
	s.publish("a", strings.Repeat("x", channel.DataMax))
	c := s.dial("GET /?poll&c=a&after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(10 * time.Millisecond)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || int64(len(text)) != resp.ContentLength || len(text) < channel.DataMax {
		t.Errorf("%d bytes of %d: %v", len(text), resp.ContentLength, err)
	}
}
