package engine

import (
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// forwarding is a backend for CONNECT: to the port 443 there is a tunnel, to others a response with what they say.
type forwarding struct {
	t        *testing.T
	protocol backend.Protocol
	heads    chan string
	replies  map[string]string // by port; the first byte says how the exchange ends: k, c
}

func (b *forwarding) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return forwardingLoop{b, l}, nil
}

type forwardingLoop struct {
	*forwarding
	l backend.Loop
}

func (l forwardingLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, more bool) (backend.Running, error) {
	l.heads <- string(h.Raw)
	target := string(h.Bytes(h.Target))
	_, port, _ := strings.Cut(target, ":")
	l.l.Post(func() {
		if port == "443" {
			if more {
				l.t.Error("a body is said to follow")
			}
			head := "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nVia: here\r\n\r\n"
			if err := x.(backend.Upgrader).Upgrade([]byte(head), l.protocol, backend.Bounds{}); err != nil {
				l.t.Error(err)
			}
			return
		}
		x.Output([]byte(l.replies[port]), nil, true)
		x.Done(backend.EndKeep)
	})
	return idleRunning{}, nil
}

// plainConnect begins the stream of a CONNECT.
func (p *h2Peer) plainConnect(id uint32, to string, end bool, more ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: end,
		BlockFragment: p.block(append([]string{":method", "CONNECT", ":authority", to}, more...)...)})
}

// A backend that gets CONNECT in HTTP/1.1 gets it in HTTP/2, and a tunnel with it (RFC 9113 §8.5).
func TestH2PlainConnect(t *testing.T) {
	closed := make(chan error, 10)
	b := &forwarding{t: t, heads: make(chan string, 10), protocol: echo(t, func(_ backend.Conn, err error) { closed <- err })}
	e, addr := startH2(t, Options{Loops: 1, Check: true}, Limits{Connect: true}, b)
	p := dialH2(t, addr)
	p.plainConnect(1, "a.test:443", false, "x", "y")
	p.WriteData(1, false, []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	f := until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == 1 })
	if got := fieldsText(p.decode(f)); got != ":status=200;via=here;" || f.StreamEnded() {
		t.Errorf("%s, ended %v", got, f.StreamEnded())
	}
	if got := <-b.heads; got != "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\nx: y\r\n" {
		t.Errorf("%q", got)
	}
	if got, _ := p.tunnel(1, 27); string(got) != "GET / HTTP/1.1\r\nHost: h\r\n\r\n"[:len(got)] {
		t.Errorf("%q", got)
	}
	p.WriteData(1, true, []byte("end"))
	if got, ended := p.tunnel(1, -1); !strings.HasSuffix(string(got), "end") || !ended {
		t.Errorf("%q, ended %v", got, ended)
	}
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
	p.plainConnect(3, "a.test:443", true) // it has nothing to send
	until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == 3 })
	if got, ended := p.tunnel(3, -1); len(got) > 0 || !ended {
		t.Errorf("%q, ended %v", got, ended)
	}
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
	p.plainConnect(5, "a.test:443", false)
	until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == 5 })
	p.WriteRSTStream(5, http2.ErrCodeConnect)
	if err := waitFor(t, closed, "end"); err == nil {
		t.Error("a reset counts as an ordinary end")
	}
	p.plainConnect(7, "a.test:443", false) // other frames than DATA are errors
	until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == 7 })
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, EndHeaders: true, EndStream: true, BlockFragment: p.block("a", "b")})
	p.hearsRST(7, http2.ErrCodeProtocol)
	waitFor(t, closed, "end")
	eventually(t, "the tunnels are gone", func() bool { return tunnelsOf(e) == 0 })
}

// What a CONNECT is answered with instead of a tunnel.
func TestH2PlainConnectRefused(t *testing.T) {
	b := &forwarding{t: t, heads: make(chan string, 20), replies: map[string]string{
		"1": "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
		"2": "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"3": "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"4": "HTTP/1.1 200 OK\r\n\r\nover", // a tunnel that says something, and ends
	}}
	_, addr := startH2(t, Options{Loops: 1, Check: true}, Limits{Connect: true}, b)
	p := dialH2(t, addr)
	for i, c := range []struct{ to, status, body string }{
		{"a:1", "403", "no"}, {"a:2", "407", "no"}, {"a:3", "502", ""}, {"a:4", "200", "over"}, {"a", "400", "*"}, {"a:", "400", "*"},
	} {
		id := uint32(2*i + 1)
		p.plainConnect(id, c.to, false)
		p.WriteData(id, false, []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
		a := p.wants(id, c.status, c.body)
		if c.to == "a:2" && fieldOf(a.fields, "proxy-authenticate") != "Basic" {
			t.Errorf("%v", fieldsText(a.fields))
		}
	}
	if n := len(b.heads); n != 4 {
		t.Errorf("%d requests have reached the backend, want 4", n)
	}
	p.plainConnect(21, "a:1", false, "content-length", "3")
	p.hearsRST(21, http2.ErrCodeProtocol)
	p.plainConnect(23, "a:1", false, "host", "b:1")
	p.hearsRST(23, http2.ErrCodeProtocol)
	p.plainConnect(25, "a:1", true)
	p.wants(25, "403", "no")
}
