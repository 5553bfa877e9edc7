package proxy

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"

	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
)

// logText is a log that loops write to.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A panic in one of the functions costs its own request alone, and the log says where it was.
func TestPanics(t *testing.T) {
	for _, c := range []struct {
		in     string
		status int
		make   func(o *rigOptions, at func(*Request))
	}{
		{"Config.To", 500, func(o *rigOptions, at func(*Request)) {
			o.Config.To = func(q *Request) *upstream.Set { at(q); return nil }
		}},
		{"Config.Edit", 500, func(o *rigOptions, at func(*Request)) { o.Edit = at }},
		{"Config.Answer", 500, func(o *rigOptions, at func(*Request)) {
			o.Answer = func(q *Request, _ *Response) error { at(q); return nil }
		}},
		// It is called because of the panic before it. Its own leaves the status that there would be without it.
		{"Config.Failed", 500, func(o *rigOptions, at func(*Request)) {
			o.Edit = at
			o.Failed = func(q *Request, _ error) int { at(q); return 599 }
		}},
		{"LoopBalancer.Key", 500, func(o *rigOptions, at func(*Request)) {
			o.Balance = upstream.Hash(func(*httpparse.Head) uint64 { at(nil); return 0 })
		}},
	} {
		t.Run(c.in, func(t *testing.T) {
			log := new(logText)
			o := rigOptions{}
			o.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
			c.make(&o, func(*Request) { panic("on purpose") })
			r := newRig(t, o, newTarget(t, answering(ok("hello"))))
			for range 2 {
				r.get().want(t, c.status, "Internal Server Error\n")
			}
			if text := log.String(); strings.Count(text, c.in) < 2 || !strings.Contains(text, "hooks_test.go") {
				t.Errorf("log %q", text)
			}
		})
	}
}

// Failed is told that there was a panic, and may choose the status.
func TestPanicIsAFailure(t *testing.T) {
	told := make(chan error, 1)
	o := rigOptions{}
	o.Config.Logger = slog.New(slog.DiscardHandler)
	o.Answer = func(q *Request, _ *Response) error {
		_ = q.Head().Path // nil here: those views have ended
		return nil
	}
	o.Failed = func(_ *Request, err error) int { told <- err; return 502 }
	r := newRig(t, o, newTarget(t, answering(ok("hello"))))
	r.get().want(t, 502, "Bad Gateway\n")
	if err := <-told; err != ErrPanic {
		t.Error(err)
	}
}

// A version that does not exist is found at once, not by the targets.
// With engine.Options.Check, what a function of the Config keeps shows bytes that were never there.
func TestKeptViews(t *testing.T) {
	kept := make(map[string][]byte)
	a := newTarget(t, answering("HTTP/1.1 200 OK\r\nA: field\r\nContent-Length: 0\r\n\r\n"))
	r := newRig(t, rigOptions{check: true, Config: Config{
		Edit: func(q *Request) { kept["some/path"] = q.Head().Bytes(q.Head().Path) },
		Answer: func(q *Request, p *Response) error {
			kept["GET /some/path HTTP/1.1"], kept["field"] = q.Line(), p.Head().Value(p.Head().Fields[0])
			return nil
		},
	}}, a)
	r.ask("GET", "/some/path").want(t, 200, "")
	still := make(chan string, 3)
	r.e.Loop(0).Post(func() {
		for want, view := range kept {
			if string(view) == want {
				still <- want
			}
		}
		close(still)
	})
	for text := range still {
		t.Errorf("%q that was kept is still there", text)
	}
}

func TestNewChecks(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New(Config{ProxyOut: 3})
}

// Failed is called in a later task, when the head of the request is another one: it must not see that, whatever the reason.
func TestFailedSeesNoHead(t *testing.T) {
	for name, c := range map[string]Config{
		"no service": {To: func(*Request) *upstream.Set { return nil }},
		"panic":      {Edit: func(*Request) { panic("on purpose") }, Logger: slog.New(slog.DiscardHandler)},
		"method":     {},
		"head":       {},
	} {
		t.Run(name, func(t *testing.T) {
			told := false
			c.Failed = func(q *Request, _ error) int {
				told = true
				if q.Head() != nil || len(q.Path()) > 0 {
					t.Error("there is a head")
				}
				return 0
			}
			r := newFakeRig(t, c)
			head := get
			switch name {
			case "method":
				head = "TRACE / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"
			case "head":
				head = "OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: x\r\n\r\n"
			}
			if x, _ := r.start(head, math.MaxInt, "", false); !x.over || !told {
				t.Errorf("over %v, told %v", x.over, told)
			}
		})
	}
}
