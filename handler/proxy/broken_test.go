package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

// Row: the target breaks off in the response. The client is reset, and never takes what it has for complete.
func TestResponseBrokenOff(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: t\r\n",
	} {
		for _, how := range []string{"FIN", "RST"} {
			for _, version := range []string{"1.0", "1.1"} {
				t.Run(fmt.Sprintf("%q %s %s", response[20:], how, version), func(t *testing.T) {
					passed := make(chan struct{})
					a := newTarget(t, func(p *peer) {
						p.request()
						p.send(response)
						if how == "RST" {
							<-passed // a reset destroys what has not been read
							p.reset()
						}
					})
					r := newRig(t, rigOptions{}, a)
					c := r.dial("GET / HTTP/" + version + "\r\nHost: x\r\n\r\n")
					if got := c.request(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
						t.Fatalf("%q", got)
					}
					close(passed)
					if got, err := c.all(); err == nil {
						t.Errorf("%q and a proper end", got)
					}
					r.logged(200, false)
					r.failure(ErrTruncated)
				})
			}
		}
	}
}

// Row: a response that ends with the connection, which is reset.
func TestUntilCloseReset(t *testing.T) {
	passed := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\n\r\nabc")
		<-passed
		p.reset()
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("GET / HTTP/1.0\r\n\r\n")
	c.request()
	close(passed)
	if got, err := c.all(); err == nil {
		t.Errorf("%q and a proper end", got)
	}
	r.logged(200, false)
	r.failure(ErrTruncated)
}

// Responses that are none, and those whose end could be understood in two ways.
func TestInvalidResponses(t *testing.T) {
	for _, tt := range []struct {
		response string
		want     error
	}{
		{"garbage\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 200 OK\nContent-Length: 0\n\n", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 0\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", ErrInvalid},
		{"HTTP/1.1 99 Low\r\n\r\n", ErrInvalid},
		{"HTTP/2 200 OK\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70_000) + "\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 200 OK\r\nA: b\r\n", ErrClosed},
		{"HTTP/1.1 200 OK\r\nConnection: " + strings.Repeat("a, ", 16) + "b\r\nB: 1\r\nContent-Length: 0\r\n\r\n", ErrInvalid},
		{"HTTP/1.1 103 Early Hints\r\nConnection: " + strings.Repeat("a, ", 16) + "b\r\n\r\n", ErrInvalid},
		{"HTT", ErrClosed},
		{"", ErrClosed},
		{"HTTP/1.1 100 Continue\r\n\r\n", ErrClosed},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", ErrUpgrade},
	} {
		t.Run(fmt.Sprintf("%.60q", tt.response), func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				p.request()
				p.send(tt.response)
				p.closeWrite()
				p.wait()
			})
			r := newRig(t, rigOptions{}, a)
			if got := r.get(); got.status != 502 {
				t.Errorf("status %d", got.status)
			}
			r.failure(tt.want)
			if s := r.set.Status()[0]; s.Failures != 1 {
				t.Errorf("%d failures of the target", s.Failures)
			}
		})
	}
}

// An invalid chunk in the middle of a response.
func TestInvalidChunk(t *testing.T) {
	passed := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		<-passed
		p.send("x\r\n")
		p.wait()
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.request()
	c.take(len("3\r\nabc\r\n"))
	close(passed)
	if got, err := c.all(); err == nil {
		t.Errorf("%q and a proper end", got)
	}
	r.failure(ErrTruncated)
}

// The target does not answer, stops in the middle, or does not take the request.
func TestTargetTimeouts(t *testing.T) {
	hang := func(response string) *target {
		return newTarget(t, func(p *peer) {
			p.request()
			p.send(response)
			p.wait()
		})
	}
	short, stall := upstream.Options{Head: 50 * time.Millisecond}, upstream.Options{Stall: 50 * time.Millisecond}

	r := newRig(t, rigOptions{Options: short}, hang(""))
	if got := r.get(); got.status != 504 {
		t.Errorf("status %d without a response", got.status)
	}
	r.failure(ErrHeadTimeout)

	r = newRig(t, rigOptions{Options: short}, hang("HTTP/1.1 200 OK\r\nConte"))
	if got := r.get(); got.status != 504 {
		t.Errorf("status %d with half a head", got.status)
	}
	r.failure(ErrHeadTimeout)

	another := upstream.Options{Head: 300 * time.Millisecond, Balance: firstOf{}, Passive: upstream.Passive{Fails: -1}}
	r = newRig(t, rigOptions{Options: another}, hang(""), newTarget(t, answering(ok("good"))))
	until(t, "the other target answers", func() bool { return r.get().status == 200 }) // on a busy machine it takes that long, too

	r = newRig(t, rigOptions{Options: stall}, hang("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
	if got := r.get(); got.status != 200 || got.err == nil {
		t.Errorf("status %d, error %v with half a body", got.status, got.err)
	}
	r.failure(ErrTruncated)

	full := newTarget(t, func(p *peer) { // reads the head only
		p.request()
		<-p.t.Context().Done()
	})
	r = newRig(t, rigOptions{Options: stall}, full)
	c := r.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n")
	go func() {
		for piece := strings.Repeat("x", 60_000); ; {
			if _, err := c.Write([]byte(piece)); err != nil {
				return
			}
		}
	}()
	if got := c.reply("POST"); got.status != 504 {
		t.Errorf("status %d, error %v of a target that does not read", got.status, got.err)
	}
	r.failure(ErrStalled)
}
