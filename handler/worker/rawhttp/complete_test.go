package rawhttp

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// complete says that the response is complete, while the handler goes on.
func (x *call) complete(flags uint32) {
	x.s.out.Flags.Store(shm.OutComplete | flags)
	x.s.c.Notify()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

func (x *call) cancelled() bool { return x.flags()&shm.InCancel != 0 }

// resetsAtDeath reports whether the end of the process would be a reset.
func (x *call) resetsAtDeath() bool {
	l, err := unix.GetsockoptInt(x.s.c.fd, unix.SOL_SOCKET, unix.SO_LINGER) // its first word
	if err != nil {
		x.s.t.Error(err)
	}
	return l != 0
}

// The peer has the response, and the end of its connection if it is to have one, while the handler still runs.
func TestCompleteCloses(t *testing.T) {
	over := make(chan bool)
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		x.put("all")
		x.complete(shm.OutClose)
		<-over
		return shm.ResultDone | shm.ResultClose
	})
	s.say("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got := s.hearsAll(); got != "all" {
		t.Errorf("got %q", got)
	}
	close(over)
	s.ends(false)
}

// A process that dies after the response has not failed the peer. It would with the next one.
func TestCompleteSettles(t *testing.T) {
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		if x.path() == "first" {
			unix.SetsockoptLinger(x.s.c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // as the socket layer does
		}
		if !x.resetsAtDeath() {
			x.s.t.Error("a death before the response is no reset")
		}
		x.put("all")
		x.complete(0)
		eventually(x.s.t, "a death after the response is no reset", func() bool { return !x.resetsAtDeath() })
		return shm.ResultDone
	})
	for _, path := range []string{"first", "second"} {
		s.say("GET /" + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		s.hears("all")
	}
}

// A handler that still writes is told when the peer has gone, or when response_timeout is over. Then the connection goes on.
func TestCompleteCancels(t *testing.T) {
	writes := func(x *call) uint32 {
		x.put("head")
		x.complete(0)
		eventually(x.s.t, "cancelled", x.cancelled)
		return shm.ResultDone
	}
	s := serveConn(t, noLimits, "", writes)
	s.say("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
	s.hears("head")
	s.peer.Close()
	s.ends(false)

	lim := noLimits
	lim.Response = time.Second
	s = serveConn(t, lim, "", writes)
	for range 2 {
		s.say("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
		s.hears("head")
	}
}

// A request that is here already says nothing about its peer.
func TestCompleteAndPipelined(t *testing.T) {
	over := make(chan bool)
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		x.put("head")
		x.complete(0)
		if x.path() == "first" {
			eventually(x.s.t, "a beat after the response", func() bool {
				x.s.c.mu.Lock()
				defer x.s.c.mu.Unlock()
				return x.s.c.settled
			})
			<-over
			if x.cancelled() {
				x.s.t.Error("cancelled although the peer is there")
			}
		}
		return shm.ResultDone
	})
	s.say("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
	s.hears("head")
	s.say("GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	close(over)
	s.hears("head")
}

// Between two requests, and after the last one, the death of the process is a regular end too: the peer may still be receiving the response.
// It is not while a request comes, or its handler runs.
func TestSettlesBetweenRequests(t *testing.T) {
	lim := noLimits
	lim.Drain = patience
	s := serveConn(t, lim, "", func(x *call) uint32 {
		if x.s.settled.Load() != 0 {
			x.s.t.Error("settled while a handler runs")
		}
		return echo(x)
	})
	s.say("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
	s.hears("<GET first >")
	eventually(t, "settled after the first", func() bool { return s.settled.Load() != 0 })
	s.say("GET /second")
	eventually(t, "not while a request comes", func() bool { return s.settled.Load() == 0 })
	s.say(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got := s.hearsAll(); got != "<GET second >" {
		t.Errorf("got %q", got)
	}
	eventually(t, "settled after the last", func() bool { return s.settled.Load() != 0 })
	s.peer.Close()
	s.ends(false)
	if s.settled.Load() != 0 {
		t.Error("settled after the end")
	}
}

// What the peer still sends of a body that the handler has left is thrown away while the handler goes on: if the process died with bytes unread,
// the peer would be reset.
func TestCompleteLeavesBody(t *testing.T) {
	over := make(chan bool)
	lim := noLimits
	lim.StreamBody = true
	s := serveConn(t, lim, "", func(x *call) uint32 {
		x.put("all")
		x.complete(shm.OutClose)
		if x.flags()&shm.InAbort == 0 {
			x.s.t.Error("the body is still received")
		}
		<-over
		return shm.ResultDone | shm.ResultClose
	})
	piece := strings.Repeat("x", 20*testWindow)
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + piece)
	if got := s.hearsAll(); got != "all" {
		t.Errorf("got %q", got)
	}
	for range 3 {
		eventually(t, "everything is read", func() bool {
			_, _, err := unix.Recvfrom(s.c.fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return err == unix.EAGAIN
		})
		s.say(piece)
	}
	close(over)
	s.peer.Close()
	s.ends(false)
}
