package proxy

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
	"moonbridge/reactor/reactortest"
)

// dying is a script that answers answers requests of a connection, and closes it when the next one has come. From connection good on
// it answers all of them. It counts the requests.
func dying(answers, good int, requests *atomic.Int64) func(*peer) {
	return func(p *peer) {
		for i := 0; ; i++ {
			h := p.request()
			if h == "" {
				return
			}
			requests.Add(1)
			if strings.Contains(h, "Content-Length: 5") {
				p.take(5)
			}
			if p.n < good && i == answers {
				return
			}
			p.send(ok(fmt.Sprint(p.n)))
		}
	}
}

// Row: a kept connection dies before the first byte of the response. Once more on a new connection if the request may be sent twice.
func TestKeptConnectionDies(t *testing.T) {
	for _, tt := range []struct {
		name, method, body string
		retry              Retrying
		status             int
		requests           int64 // of the target, with the one before
	}{
		{"GET", "GET", "", Retrying{}, 200, 3},
		{"PUT with a body", "PUT", "\nhello", Retrying{}, 200, 3},
		{"PUT whose body is not kept", "PUT", "\nhello", Retrying{Body: 4}, 502, 2},
		{"PUT, although no body is kept", "PUT", "\nhello", Retrying{Body: -1}, 502, 2},
		{"GET, although no body is kept", "GET", "", Retrying{Body: -1}, 200, 3},
		{"POST", "POST", "\nhello", Retrying{}, 502, 2},
		{"POST, which the user says is idempotent", "POST", "\nhello", Retrying{Methods: []string{"POST"}}, 200, 3},
		{"GET, although nothing is sent again", "GET", "", Retrying{Times: -1}, 200, 3}, // the target has not seen it
	} {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int64
			a := newTarget(t, dying(1, 2, &requests))
			r := newRig(t, rigOptions{Config: Config{Retry: tt.retry}}, a)
			r.get().want(t, 200, "1")
			var fields []string
			if tt.body != "" {
				fields = append(fields, tt.body)
			}
			got := r.ask(tt.method, "/", fields...)
			if got.status != tt.status || requests.Load() != tt.requests {
				t.Errorf("status %d after %d requests, want %d after %d", got.status, requests.Load(), tt.status, tt.requests)
			}
			if tt.status == 502 {
				r.failure(ErrClosed)
			}
			if s := r.set.Status()[0]; s.Failures != 0 {
				t.Errorf("%d failures of the target: it may close a connection that is idle", s.Failures)
			}
		})
	}
}

// Row: never a second time on a kept connection.
func TestKeptConnectionsDie(t *testing.T) {
	var requests atomic.Int64
	both := make(chan struct{})
	var first atomic.Int64
	a := newTarget(t, func(p *peer) {
		if p.n > 2 {
			answering(ok(fmt.Sprint(p.n)))(p)
			return
		}
		p.request()
		if first.Add(1) == 2 {
			close(both)
		}
		<-both
		p.send(ok(fmt.Sprint(p.n)))
		if p.request() != "" {
			requests.Add(1)
		}
	})
	r := newRig(t, rigOptions{}, a)
	c, d := r.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), r.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.reply("GET")
	d.reply("GET")
	r.get().want(t, 200, "3")
	if requests.Load() != 1 {
		t.Errorf("the request went to %d kept connections", requests.Load())
	}
}

// A target that closes a new connection without a response has failed: another one is asked.
func TestNewConnectionDies(t *testing.T) {
	var requests atomic.Int64
	dead := func() *target { return newTarget(t, dying(0, 1000, &requests)) }
	good := newTarget(t, answering(ok("good")))

	r := newRig(t, rigOptions{}, dead(), good)
	r.get().want(t, 200, "good")
	if s := r.set.Status()[0]; s.Failures != 1 {
		t.Errorf("%d failures of the target", s.Failures)
	}

	r = newRig(t, rigOptions{}, dead(), dead(), good)
	if got := r.get(); got.status != 502 {
		t.Errorf("status %d: two targets have failed, and one retry is allowed", got.status)
	}
	r.failure(ErrClosed)

	r = newRig(t, rigOptions{}, dead(), good)
	if got := r.ask("POST", "/", "\nhello"); got.status != 502 {
		t.Errorf("status %d of a POST that may have been carried out", got.status)
	}

	r = newRig(t, rigOptions{}, dead())
	requests.Store(0)
	if got := r.get(); got.status != 502 || requests.Load() != 1 {
		t.Errorf("status %d after %d requests to the only target", got.status, requests.Load())
	}
}

// A target that cannot be connected to has got nothing, so that any request can go to the next one.
func TestConnectFails(t *testing.T) {
	closed := func() upstream.Target { return upstream.Target{Addr: reactortest.FreePort(t)} }
	good := newTarget(t, echo)
	r := newRigOf(t, rigOptions{}, closed(), closed(), closed(), upstream.Target{Addr: good.addr()})
	r.ask("POST", "/", "\nhello").want(t, 200, `POST length 5 [] "hello" `)

	r = newRigOf(t, rigOptions{}, closed(), closed())
	if got := r.get(); got.status != 502 {
		t.Errorf("status %d", got.status)
	}
	r.failure(ErrConnect)

	r = newRigOf(t, rigOptions{})
	got := r.get()
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("status %d %v without a target", got.status, got.header)
	}
	r.failure(ErrNoTarget)

	r = newRig(t, rigOptions{Config: Config{To: func(*Request) *upstream.Set { return nil }}})
	if got := r.get(); got.status != 503 {
		t.Errorf("status %d without a service", got.status)
	}
	r.failure(ErrNoService)
}

// Retrying.On: a status counts as a failure.
func TestRetryOnStatus(t *testing.T) {
	busy := newTarget(t, answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
	good := newTarget(t, answering(ok("good")))
	on := Config{Retry: Retrying{On: []int{503}}}
	newRig(t, rigOptions{}, busy, good).get().want(t, 503, "busy")
	newRig(t, rigOptions{Config: on}, busy, good).get().want(t, 200, "good")
	newRig(t, rigOptions{Config: on}, busy).get().want(t, 503, "busy") // there is no other
	newRig(t, rigOptions{Config: on}, busy, good).ask("POST", "/", "\nhello").want(t, 503, "busy")
}

// Retrying.Budget: not more than a part of the requests are sent again.
func TestRetryBudget(t *testing.T) {
	var requests atomic.Int64
	bad := newTarget(t, func(p *peer) {
		for p.request() != "" {
			requests.Add(1)
			p.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		}
	})
	other := newTarget(t, func(p *peer) {
		for p.request() != "" {
			requests.Add(1)
			p.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		}
	})
	r := newRig(t, rigOptions{
		Config:  Config{Retry: Retrying{On: []int{503}, Budget: 0.1}},
		Options: upstream.Options{Passive: upstream.Passive{Fails: -1}},
	}, bad, other)
	const n = 2000
	for range n {
		r.get()
	}
	if got := int(requests.Load()); got < n+n/10 || got > n+n/10+budgetTokens {
		t.Errorf("%d requests became %d", n, got)
	}
}

// A target is killed while it has many requests: all of them go to another one.
func TestRetryOfMany(t *testing.T) {
	const n = 100
	var requests atomic.Int64
	all := make(chan struct{})
	counted := func() {
		if requests.Add(1) == n {
			close(all)
		}
	}
	dies := newTarget(t, func(p *peer) {
		if p.request() != "" {
			counted()
			<-all // and the connection ends
		}
	})
	good := newTarget(t, func(p *peer) {
		for p.request() != "" {
			if requests.Load() < n {
				counted()
			}
			p.send(ok("good"))
		}
	})
	r := newRigOf(t, rigOptions{}, upstream.Target{Addr: dies.addr(), Weight: 1000}, upstream.Target{Addr: good.addr()})
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() { r.get().want(t, 200, "good") })
	}
	clients.Wait()
}

// A trial has succeeded when the response has begun, or the protocol was changed: what follows may take hours.
func TestTrialThatLasts(t *testing.T) {
	for request, response := range map[string]string{get: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", upgrading: switching} {
		a := newTarget(t, func(p *peer) {
			if p.request(); p.n > 1 {
				p.send(response)
				p.wait()
			}
		})
		r := newRig(t, rigOptions{Options: upstream.Options{Passive: upstream.Passive{Fails: 1, Out: time.Nanosecond, OutMax: time.Nanosecond}}}, a)
		if got := r.get(); got.status != 502 || r.set.Status()[0].Up {
			t.Errorf("status %d, target %+v", got.status, r.set.Status()[0])
		}
		c := r.dial(request)
		c.request() // the head of the response
		if s := r.set.Status()[0]; !s.Up || s.Active != 1 {
			t.Errorf("%.20q: %+v", response, s)
		}
		c.reset()
	}
}

// Row: a kept connection that has taken nothing. Any request may be sent on another one.
func TestNothingWasSent(t *testing.T) {
	for name, body := range map[string]string{"no body": "", "body": "hello"} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRig(t, Config{})
			_, c := r.start(get, math.MaxInt, "", false)
			c.gives(ok("x"), false)
			c.broken = true
			x, d := r.start(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body)), math.MaxInt, body, false)
			if d == c || !c.reset || parseRequest(t, d.out.String()) != body {
				t.Errorf("reset %v, sent %q", c.reset, d.out.String())
			}
			d.gives(ok("y"), false)
			if !x.over || x.status != 0 {
				t.Errorf("over %v, status %d", x.over, x.status)
			}
			r.checkOver()
		})
	}
}

// firstOf chooses the first target that may have the request.
type firstOf struct{}

func (firstOf) OnLoop(int, int) upstream.LoopBalancer { return firstOf{} }
func (firstOf) Key(*httpparse.Head) uint64            { return 0 }
func (firstOf) Pick(*upstream.Choice) int             { return 0 }

// A client that leaves, and whose request has nothing to do with the trial of a target, does not let another request in beside it.
func TestClientLeavesBesideATrial(t *testing.T) {
	has := make(chan string, 10)
	a := newTarget(t, func(p *peer) {
		for {
			switch line, _, _ := strings.Cut(p.request(), " HTTP"); line {
			case "GET /old", "GET /trial":
				has <- line
				p.wait()
				return
			case "GET /fail", "":
				return
			default:
				p.send(ok("a"))
			}
		}
	})
	b := newTarget(t, func(p *peer) {
		for p.request() != "" {
			p.send(ok("b"))
		}
	})
	o := upstream.Options{Balance: firstOf{}, Passive: upstream.Passive{Fails: 1, Out: time.Nanosecond, OutMax: time.Nanosecond}}
	r := newRigOf(t, rigOptions{Options: o}, upstream.Target{Addr: a.addr()}, upstream.Target{Addr: b.addr()})
	old := r.dial("GET /old HTTP/1.1\r\nHost: x\r\n\r\n")
	<-has
	r.ask("GET", "/fail").want(t, 200, "b")
	trial := r.dial("GET /trial HTTP/1.1\r\nHost: x\r\n\r\n")
	<-has
	r.get().want(t, 200, "b")
	old.reset()
	until(t, "the old request is given up", func() bool { return r.set.Status()[0].Active == 1 })
	r.get().want(t, 200, "b")
	trial.reset()
	until(t, "the trial is given up", func() bool { return r.set.Status()[0].Active == 0 })
	r.get().want(t, 200, "a")
}
