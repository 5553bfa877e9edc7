package engine

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"moonbridge/handler"
	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A client that closes its connection ends the context of the handler, and with it the request that a proxy has sent.
func TestReverseProxyPeerEnd(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	_, addr := start(t, Options{}, Limits{}, handler.Blocking(handler.HTTP(proxy), 0))
	p := dial(t, addr)
	p.say(get("/"))
	wait(t, began, "the request at the upstream server")
	p.Close()
	wait(t, ended, "the end of the upstream request")
}

// With PeerEndWait the engine waits for a client that has closed only its sending side, as long as it reads.
func TestReverseProxyPeerEndWait(t *testing.T) {
	closed := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-closed
		io.WriteString(w, "from upstream")
	}))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(to)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(seen)
		proxy.ServeHTTP(w, r)
	})
	_, addr := start(t, Options{}, Limits{PeerEnd: PeerEndWait}, handler.Blocking(handler.HTTP(h), 0))
	p := dial(t, addr)
	p.say(get("/"))
	wait(t, seen, "the request")
	p.CloseWrite()
	close(closed)
	if body := p.hears(200); body != "from upstream" {
		t.Errorf("got %q", body)
	}
}

// A request that is complete when its peer closes the connection is served, over a Unix socket too.
func TestPeerClosesAfterRequest(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		b := &testBackend{window: 64}
		e := startEngine(t, Options{Loops: 1})
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "socket")
		}
		ln, err := e.Open(network, address, OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Serve(ln, b, 0, Limits{}); err != nil {
			t.Fatal(err)
		}
		requests := []string{get("/hello"), post("/echo", "body"), get("/hello") + get("/hello"), "GET / HT", ""}
		for _, request := range requests {
			p := dialOn(t, network, ln.Addr())
			p.say(request)
			p.Close()
		}
		eventually(t, network+": the requests are served", func() bool { return b.count(&b.started) == 4 })
		eventually(t, network+": the connections end", func() bool { return e.Conns() == 0 })
	}
}

// So is one that its peer has sent together with the end of a TLS handshake. The engine sees the end of the connection together with all that, or
// while it goes on with the handshake, and then cannot send what it has to say.
func TestPeerClosesAfterHandshake(t *testing.T) {
	var request bytes.Buffer
	request.WriteString(h2PrefaceText)
	streams := &h2Peer{t: t, Framer: http2.NewFramer(&request, nil)}
	streams.encoder = hpack.NewEncoder(&streams.fields)
	streams.WriteSettings()
	streams.get(1, "/hello")
	for _, network := range []string{"tcp4", "unix"} {
		for protocol, request := range map[string]string{"http/1.1": get("/hello"), "h2": request.String(), "raw": "hello"} {
			for _, onLoop := range []bool{false, true} {
				for _, atOnce := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, handshake on loop: %v, at once: %v", network, protocol, onLoop, atOnce), func(t *testing.T) {
						testPeerClosesAfterHandshake(t, network, protocol, request, onLoop, atOnce)
					})
				}
			}
		}
	}
}

func testPeerClosesAfterHandshake(t *testing.T, network, protocol, request string, onLoop, atOnce bool) {
	e := startEngine(t, Options{Loops: 1, Batch: onLoop})
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := e.Open(network, address, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server, client := serverConfig(), clientConfig()
	server.NextProtos, client.NextProtos = []string{"http/1.1", "h2", "raw"}, []string{protocol}
	ln.SetTLS(&TLS{Config: server})
	b := &testBackend{window: 64}
	served := func() bool { return b.count(&b.started) == 1 }
	if protocol == "raw" {
		var got atomic.Int64
		served = func() bool { return got.Load() == int64(len(request)) }
		err = e.ServeProtocol(ln, opener(func(c backend.Conn) backend.Stream {
			c.Write([]byte("welcome")) // which may fail
			return &calls{t: t, data: func(c backend.Conn) {
				got.Add(int64(len(c.Unread())))
				c.Discard(len(c.Unread()))
				if c.Ended() {
					c.Close()
				}
			}}
		}), ProtocolOptions{})
	} else {
		err = e.Serve(ln, b, 0, Limits{})
	}
	if err != nil {
		t.Fatal(err)
	}
	raw := dialOn(t, network, ln.Addr())
	last := &heldConn{Conn: raw}
	if _, err := tls.Client(last, client).Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	if atOnce {
		e.Loop(0).Post(func() { <-release })
	}
	raw.say(string(last.held))
	raw.Close()
	close(release)
	eventually(t, "the request is served", served)
	eventually(t, "the connection ends", func() bool { return e.Conns() == 0 })
}
