package handler_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// onLoopAt serves h on the loops of an engine and returns its address.
func onLoopAt(t *testing.T, c handler.Config, h handler.Func) string {
	t.Helper()
	return onLoopOf(t, engine.Options{Loops: 1}, c, h)
}

// onLoopOf is the same, with options of the engine.
func onLoopOf(t *testing.T, o engine.Options, c handler.Config, h handler.Func) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	o.Logger = log
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = log
	if err := e.Serve(ln, c.OnLoop(h), 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	return ln.Addr()
}

func answerTo(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	res, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(got)
}

// A handler on the loop may answer from a goroutine, after a timer, or after both, and gets its own request again.
func TestLater(t *testing.T) {
	at := onLoopAt(t, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		later := r.Later()
		if r.Later() != later {
			t.Error("another Later for the same request")
		}
		w.WriteString("dropped")
		answer := func(w *handler.Response, r *handler.Request) {
			body, err := r.Body(1 << 20)
			if err != nil {
				t.Error(err)
			}
			w.SetStatus(201)
			fmt.Fprintf(w, "%s %s %s", r.Path(), r.Field("X"), body)
		}
		switch string(r.Path()) {
		case "goroutine":
			go later.Do(answer)
		case "timer":
			r.Loop().After(time.Millisecond, func() { later.Do(answer) })
		case "at-once":
			later.Do(answer)
			later.Do(func(*handler.Response, *handler.Request) { t.Error("the second Do counts") })
		case "twice":
			go later.Do(func(w *handler.Response, r *handler.Request) {
				again := r.Later()
				r.Loop().Post(func() { again.Do(answer) })
			})
		}
	})
	var all sync.WaitGroup
	for i := range 20 {
		for _, path := range []string{"goroutine", "timer", "at-once", "twice"} {
			body := strings.Repeat("b", i*2000)
			all.Go(func() {
				if status, got := answerTo(t, "POST", "http://"+at+"/"+path, body); status != 201 || got != path+"  "+body {
					t.Errorf("%s: %d %.40q", path, status, got)
				}
			})
		}
	}
	all.Wait()
}

// Without an answer in time the client gets 504, and a late answer is not called.
func TestLaterTimeout(t *testing.T) {
	done := make(chan *handler.Later, 1)
	at := onLoopAt(t, handler.Config{LaterMax: 10 * time.Millisecond}, func(w *handler.Response, r *handler.Request) {
		later := r.Later()
		go func() { <-later.Done(); done <- later }()
	})
	if status, _ := answerTo(t, "GET", "http://"+at+"/", ""); status != 504 {
		t.Errorf("status %d", status)
	}
	later := <-done
	later.Do(func(*handler.Response, *handler.Request) { t.Error("called after 504") })
	if status, _ := answerTo(t, "GET", "http://"+at+"/", ""); status != 504 {
		t.Errorf("status %d", status)
	}
}

// When the client goes, Done says so, and an answer is not called.
func TestLaterClientGone(t *testing.T) {
	for _, reset := range []bool{false, true} {
		laters := make(chan *handler.Later, 1)
		at := onLoopAt(t, handler.Config{}, func(w *handler.Response, r *handler.Request) { laters <- r.Later() })
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		later := <-laters
		if reset {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		select {
		case <-later.Done():
		case <-time.After(patience):
			t.Error("Done is not closed")
		}
		later.Do(func(w *handler.Response, r *handler.Request) {
			if reset {
				t.Error("called for a client that is gone")
			}
		})
	}
}

// A panic, in Serve after Later or in Do, is answered with 500.
func TestLaterPanics(t *testing.T) {
	at := onLoopAt(t, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		later := r.Later()
		if string(r.Path()) == "serve" {
			later.Do(func(*handler.Response, *handler.Request) { t.Error("called after a panic") })
			panic("in Serve")
		}
		later.Do(func(*handler.Response, *handler.Request) { panic("in Do") })
	})
	for _, path := range []string{"serve", "do", "serve"} {
		if status, _ := answerTo(t, "GET", "http://"+at+"/"+path, ""); status != 500 {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// Later belongs to handlers on the loop, while they run.
func TestLaterMisused(t *testing.T) {
	panics := func(what string, fn func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s does not panic", what)
			}
		}()
		fn()
	}
	var kept *handler.Request
	at := onLoopAt(t, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		if kept != nil {
			panics("Later after Serve", func() { kept.Later() })
			if kept.Loop() != nil {
				t.Error("a loop after Serve")
			}
		}
		kept = r
	})
	for range 2 {
		answerTo(t, "GET", "http://"+at+"/", "")
	}
}

// lineOf is a Protocol that asks a server for one line.
type lineOf struct {
	got func(line string)
}

func (p lineOf) Open(c backend.Conn) backend.Stream {
	c.Write([]byte("give\n"))
	return p
}

func (p lineOf) Data(c backend.Conn) {
	if line, _, whole := strings.Cut(string(c.Unread()), "\n"); whole {
		c.Close()
		p.got(line)
	}
}

func (p lineOf) Room(backend.Conn)          {}
func (p lineOf) Closed(backend.Conn, error) {}

// A handler on the loop asks another server before it answers.
func TestLaterDial(t *testing.T) {
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				line, _ := bufio.NewReader(c).ReadString('\n')
				fmt.Fprintf(c, "you said %s", line)
			}()
		}
	}()
	to := backend.Address{AddrPort: netip.MustParseAddrPort(other.Addr().String())}
	at := onLoopAt(t, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		later := r.Later()
		r.Loop().(backend.Dialer).Dial(to, backend.DialOptions{}, lineOf{func(line string) {
			later.Do(func(w *handler.Response, r *handler.Request) { w.WriteString(line) })
		}}, func(err error) {
			later.Do(func(w *handler.Response, r *handler.Request) { w.SetStatus(502) })
		})
	})
	for range 5 {
		if status, got := answerTo(t, "GET", "http://"+at+"/", ""); status != 200 || got != "you said give" {
			t.Errorf("%d %q", status, got)
		}
	}
}
