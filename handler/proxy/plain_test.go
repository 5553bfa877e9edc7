package proxy

import (
	"fmt"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	heads := make(chan string, 10)
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			if h == "" {
				return
			}
			heads <- h
			p.send("HTTP/1.1 200 Fine\r\nDate: now\r\nServer: s\r\nX-A: 1\r\nContent-Length: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 2\r\nX-B: 3\r\n\r\nhello")
		}
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	for range 3 {
		c.send("GET /a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nConnection: X-Mine\r\nX-Mine: 1\r\nAccept: */*\r\n\r\n")
		want := "HTTP/1.1 200 Fine\r\nDate: now\r\nServer: s\r\nX-A: 1\r\nX-B: 3\r\nContent-Length: 5\r\n\r\nhello"
		if got := c.take(len(want)); got != want {
			t.Errorf("response %q, want %q", got, want)
		}
		want = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n" +
			"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\n\r\n"
		if got := <-heads; got != want {
			t.Errorf("request %q, want %q", got, want)
		}
	}
	if a.accepted() != 1 {
		t.Errorf("%d connections to the target for three requests", a.accepted())
	}
}

func TestPost(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			switch {
			case h == "":
				return
			case strings.Contains(h, "Content-Length: 5\r\n"):
				p.send(ok("length " + p.take(5)))
			case strings.Contains(h, "Transfer-Encoding: chunked\r\n"):
				p.send(ok("chunks " + fmt.Sprintf("%q", p.take(len("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")))))
			default:
				p.send(ok(h))
			}
		}
	})
	r := newRig(t, rigOptions{}, a)
	r.ask("POST", "/", "\nhello").want(t, 200, "length hello")
	r.ask("PUT", "/", "\nhello").want(t, 200, "length hello")
	c := r.dial("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	until(t, "the head is there", func() bool { return r.set.Servers()[0].Active() == 1 })
	c.send("2\r\nab\r\n")
	c.send("3;x=y\r\ncde\r\n0\r\n\r\n")
	// How the body is cut depends on how it arrives.
	if got := c.reply("POST"); got.status != 200 || !strings.HasPrefix(got.body, "chunks ") {
		t.Errorf("%+v", got)
	}
}
