package backend_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const patience = 30 * time.Second

// protocol is a Protocol of a function.
type protocol func(backend.Conn) backend.Stream

func (p protocol) Open(c backend.Conn) backend.Stream { return p(c) }

// shout handles a line: it answers with the line in upper case.
func shout(c backend.Conn, input []byte) int {
	line, _, complete := bytes.Cut(input, []byte("\n"))
	if !complete {
		return 0
	}
	c.Writev(bytes.ToUpper(line), []byte("\n"))
	return len(line) + 1
}

// paper is a Conn without a socket. What is not written here panics: EachMessage needs no more.
type paper struct {
	backend.Conn
	in, out     []byte
	most        int // of in; 0: any number
	held, bound int // what the peer has not taken, and how much of it makes full
	full        bool
	ended       bool
	closed      int // how many bytes had been written at the call of Close, plus one
}

func (c *paper) Unread() []byte  { return c.in }
func (c *paper) Discard(n int)   { c.in = c.in[n:] }
func (c *paper) Ended() bool     { return c.ended }
func (c *paper) Full() bool      { return c.full || c.closed > 0 }
func (c *paper) InputFull() bool { return c.most > 0 && len(c.in) >= c.most }
func (c *paper) Write(p []byte)  { c.Writev(p, nil) }
func (c *paper) Close()          { c.closed = len(c.out) + 1 }
func (c *paper) Reset()          { c.Close() }

func (c *paper) Writev(a, b []byte) {
	c.out = append(append(c.out, a...), b...)
	if c.held += len(a) + len(b); c.bound > 0 && c.held > c.bound {
		c.full = true
	}
}

// Messages are found wherever the input is cut, each is handled once, and a rest is dropped at the end.
func TestEachMessageCuts(t *testing.T) {
	const in, want = "one\n\ntwo\nthr\nrest", "ONE\n\nTWO\nTHR\n"
	for i := range len(in) + 1 {
		for j := i; j <= len(in); j++ {
			c, m := new(paper), backend.EachMessage(shout)
			for _, part := range []string{in[:i], in[i:j], in[j:]} {
				c.in = append(bytes.Clone(c.in), part...)
				m.Data(c)
				if c.closed > 0 {
					t.Fatalf("cut at %d and %d: closed before the end", i, j)
				}
			}
			c.ended = true
			m.Data(c)
			if string(c.out) != want || string(c.in) != "rest" || c.closed != len(want)+1 {
				t.Fatalf("cut at %d and %d: %q, rest %q, closed %d", i, j, c.out, c.in, c.closed)
			}
		}
	}
}

// A peer that does not read gets no further answers than fit, then all of them, and the end after the last one.
func TestEachMessageSlowReader(t *testing.T) {
	for _, ended := range []bool{false, true} {
		c := &paper{in: bytes.Repeat([]byte("ten bytes\n"), 10), bound: 25, ended: ended}
		m := backend.EachMessage(shout)
		m.Data(c)
		for n := 30; n <= 100; n += 30 {
			if len(c.out) != n || c.closed > 0 {
				t.Fatalf("%d bytes of answers, want %d; closed %d", len(c.out), n, c.closed)
			}
			m.Data(c) // as when more has arrived
			c.held, c.full = 0, false
			m.Room(c)
		}
		if len(c.out) != 100 || len(c.in) > 0 || (c.closed == 101) != ended {
			t.Errorf("ended %t: %d bytes of answers, rest %q, closed %d", ended, len(c.out), c.in, c.closed)
		}
	}
}

// The last answer makes the connection full: the end waits for the room that follows.
func TestEachMessageFullAtTheEnd(t *testing.T) {
	c := &paper{in: []byte("ten bytes\n"), bound: 5, ended: true}
	m := backend.EachMessage(shout)
	m.Data(c)
	if c.closed > 0 {
		t.Error("closed while it was full")
	}
	c.full = false
	if m.Room(c); c.closed != 11 {
		t.Errorf("closed %d", c.closed)
	}
}

// A message that is larger than the input can be ends the connection; one that fits exactly does not.
func TestEachMessageTooLong(t *testing.T) {
	for in, closed := range map[string]int{"123456789\n": 0, "123456789": 0, "1\n23456789": 0, "1234567890": 1, "1\n": 0} {
		c, m := &paper{in: []byte(in), most: 10}, backend.EachMessage(shout)
		if m.Data(c); c.closed != closed {
			t.Errorf("%q: closed %d, want %d", in, c.closed, closed)
		}
	}
}

// A function that ends the connection is not called again, whatever it returns, and never with nothing.
func TestEachMessageEnds(t *testing.T) {
	for _, n := range []int{0, 1} {
		for _, end := range []func(c backend.Conn){backend.Conn.Close, backend.Conn.Reset} {
			calls := 0
			c := &paper{in: []byte("ab")}
			m := backend.EachMessage(func(c backend.Conn, input []byte) int {
				calls++
				end(c)
				return n
			})
			m.Data(c)
			c.ended = true
			m.Data(c)
			if calls != 1 || c.closed != 1 {
				t.Errorf("%d calls, closed %d", calls, c.closed)
			}
		}
	}
	c := new(paper)
	backend.EachMessage(func(backend.Conn, []byte) int { panic("called with nothing") }).Data(c)
	if c.closed > 0 {
		t.Error("closed without a reason")
	}
}

// At a drain, a message that has begun is waited for, and answered.
func TestEachMessageDrains(t *testing.T) {
	c, m := new(paper), backend.EachMessage(shout)
	if m.Drain(c); c.closed != 1 {
		t.Error("an idle connection is not closed")
	}
	c, m = &paper{in: []byte("on")}, backend.EachMessage(shout)
	m.Data(c)
	m.Drain(c)
	c.in = []byte("one\ntw")
	if m.Data(c); c.closed > 0 {
		t.Error("closed while a message has begun")
	}
	c.in = []byte("two\n")
	if m.Data(c); string(c.out) != "ONE\nTWO\n" || c.closed != 9 {
		t.Errorf("%q, closed %d", c.out, c.closed)
	}
}

// As a Protocol, it has a Stream for each connection: the drain of one is not that of another.
func TestEachMessageOfEachConnection(t *testing.T) {
	p := backend.EachMessage(shout)
	one, two := new(paper), &paper{in: []byte("two\n")}
	p.Open(one).(backend.Drainer).Drain(one)
	if p.Open(two).Data(two); one.closed != 1 || two.closed > 0 || string(two.out) != "TWO\n" {
		t.Errorf("closed %d and %d, %q", one.closed, two.closed, two.out)
	}
}

func TestEachMessageNeedsAFunction(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	backend.EachMessage(nil)
}

// embedding hears of the end.
type embedding struct {
	*backend.Messages
	closed chan error
}

func (s embedding) Closed(_ backend.Conn, err error) { s.closed <- err }

// With an engine: the bound of the input, an embedding type, and a shutdown.
func TestEachMessageWithEngine(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 2)
	open := protocol(func(backend.Conn) backend.Stream { return embedding{backend.EachMessage(shout), closed} })
	if err := e.ServeProtocol(ln, open, engine.ProtocolOptions{Bounds: backend.Bounds{Input: 1000}}); err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	hear := func(c net.Conn, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	c := dial()
	long := strings.Repeat("x", 999) + "\n"
	fmt.Fprint(c, "a\n"+long)
	hear(c, "A\n"+strings.ToUpper(long))
	fmt.Fprint(c, strings.Repeat("x", 1000)) // nothing more is read, so no end of the line ever comes
	if text, err := io.ReadAll(c); len(text) > 0 || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Closed: %v", err)
	}

	idle, busy := dial(), dial()
	fmt.Fprint(idle, "b\n")
	hear(idle, "B\n")
	fmt.Fprint(busy, "b\nhalf") // in one segment: when there is the answer, the half is unread
	hear(busy, "B\n")
	over := make(chan error, 1)
	go func() { over <- e.Shutdown(ctx) }()
	if text, err := io.ReadAll(idle); len(text) > 0 || err != nil {
		t.Errorf("an idle connection: %q, %v", text, err)
	}
	fmt.Fprint(busy, " a line\n")
	if text, err := io.ReadAll(busy); string(text) != "HALF A LINE\n" || err != nil {
		t.Errorf("a connection with half a message: %q, %v", text, err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// A protocol whose clients send lines, and get each of them back in upper case.
func ExampleEachMessage() {
	lines := backend.EachMessage(func(c backend.Conn, input []byte) int {
		line, _, complete := bytes.Cut(input, []byte("\n"))
		if !complete {
			return 0 // the rest will come
		}
		c.Writev(bytes.ToUpper(line), []byte("\n"))
		return len(line) + len("\n")
	})
	e, err := engine.New(engine.Options{})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	// A line is at most 4 KiB long.
	if err := e.ServeProtocol(ln, lines, engine.ProtocolOptions{Bounds: backend.Bounds{Input: 4 << 10}}); err != nil {
		panic(err)
	}

	conn, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "one\ntwo\n")
	conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	fmt.Printf("%q %v\n", answer, err)
	// Output: "ONE\nTWO\n" <nil>
}
