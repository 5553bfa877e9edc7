package engine

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
