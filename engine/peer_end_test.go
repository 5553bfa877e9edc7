package engine

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"

	"moonbridge/handler"
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
