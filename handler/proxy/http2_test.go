package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"moonbridge/engine"
)

// http2Client is a client that speaks HTTP/2 without TLS.
func http2Client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func http2Rig(t *testing.T, targets ...*target) (*rig, *http.Client) {
	t.Helper()
	return newRig(t, rigOptions{limits: engine.Limits{H2C: true}}, targets...), http2Client(t)
}

// Row: the target breaks off in the response. A client with HTTP/2 hears that its stream has failed, and goes on with others.
func TestHTTP2BrokenOff(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		a := newTarget(t, func(p *peer) {
			if h := p.request(); strings.HasPrefix(h, "GET /whole ") {
				p.send(ok("whole"))
				return
			}
			p.send(response)
		})
		r, client := http2Rig(t, a)
		res, err := client.Get("http://" + r.address + "/")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(text) != "abc"[:len(text)] || err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, %v", text, err)
		}
		r.failure(ErrTruncated)
		r.logged(200, false)

		if res, err = client.Get("http://" + r.address + "/whole"); err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(res.Body); string(text) != "whole" || err != nil || res.ProtoMajor != 2 {
			t.Errorf("%s %q, %v", res.Proto, text, err)
		}
		res.Body.Close()
		r.logged(200, true)
		if n := r.e.Stats()[0].HTTP2.Accepted; n != 1 {
			t.Errorf("%d connections of the client", n)
		}
	}
}

// Row: the client gives up its stream. The target is told, whether there is a response or not.
func TestHTTP2ClientGone(t *testing.T) {
	for _, begun := range []bool{false, true} {
		arrived := make(chan struct{})
		a := newTarget(t, func(p *peer) {
			p.request()
			if begun {
				p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			}
			close(arrived)
			p.wait()
		})
		r, client := http2Rig(t, a)
		ctx, cancel := context.WithCancel(t.Context())
		q, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-arrived
			if !begun {
				cancel()
			}
		}()
		if res, err := client.Do(q); begun && err != nil {
			t.Fatal(err)
		} else if err == nil {
			cancel()
			res.Body.Close()
		}
		until(t, "the connection to the target is closed", func() bool { return a.open() == 0 })
		if r.e.Stats()[0].HTTP2.ResetsReceived != 1 {
			t.Error("the client has not given up its stream")
		}
		cancel()
	}
}

// Bodies, interim responses and trailers pass in both directions.
func TestHTTP2Messages(t *testing.T) {
	const hint = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	a := newTarget(t, func(p *peer) {
		for {
			req, err := http.ReadRequest(p.r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			p.send(hint + "HTTP/1.1 200 OK\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n")
			p.send("5\r\n" + string(body[len(body)-5:]) + "\r\n0\r\nT: " + req.Trailer.Get("Sum") + "\r\n\r\n")
		}
	})
	r, client := http2Rig(t, a)
	hints := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints += h.Get("Link")
		return nil
	}})
	body := strings.Repeat("x", 500_000) + "hello" // more than the windows
	q, err := http.NewRequestWithContext(ctx, "POST", "http://"+r.address+"/", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Te", "trailers")
	q.Trailer = http.Header{"Sum": {"7"}}
	res, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if string(text) != "hello" || err != nil || res.Trailer.Get("T") != "7" || hints != "x" {
		t.Errorf("%q, %v, trailers %v, hints %q", text, err, res.Trailer, hints)
	}
}
