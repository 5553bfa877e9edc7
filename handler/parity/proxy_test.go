package parity

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"moonbridge/reactor/reactortest"
)

// upstreams are the servers that proxies pass requests on to.
type upstreams struct {
	good *url.URL // a server of net/http
	raw  *url.URL // answers with the text that its path stands for, and closes
	dead *url.URL // no server
}

// rawTexts are responses that end too early, or that net/http would not send. Those of unknown length have a type: otherwise it would
// be chance whether ReverseProxy flushes the head before there is a body to guess it from.
var rawTexts = map[string]string{
	"/raw/chunked":  "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3,\r\n",
	"/raw/length":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,2,3,",
	"/raw/head":     "HTTP/1.1 200 OK\r\nContent-Le",
	"/raw/nothing":  "",
	"/raw/garbage":  "GARBAGE\r\n\r\n",
	"/raw/close":    "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: close\r\n\r\nuntil the end",
	"/raw/http10":   "HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nuntil the end",
	"/raw/hop":      "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
	"/raw/reason":   "HTTP/1.1 299 Odd Reason\r\nContent-Length: 2\r\n\r\nok",
	"/raw/empty304": "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
}

func newUpstreams(t *testing.T, w *world) *upstreams {
	return &upstreams{good: goodUpstream(t, w), raw: rawUpstream(t), dead: deadUpstream(t)}
}

func goodUpstream(t *testing.T, world *world) *url.URL {
	mux := http.NewServeMux()
	mux.HandleFunc("/up/dump", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Connection", "X-Forwarded-For", "Te", "Upgrade"} {
			fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
		}
		fmt.Fprintf(w, "%s %s %d %q\n", r.Method, r.URL, r.ContentLength, r.TransferEncoding)
	})
	mux.HandleFunc("/up/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", body, err, r.Trailer)
	})
	mux.HandleFunc("/up/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 2 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			if i == 0 {
				world.wait()
			}
		}
	})
	mux.HandleFunc("/up/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		io.WriteString(w, "x")
	})
	mux.HandleFunc("/up/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		io.WriteString(w, "x")
		w.Header().Set("A", "1")
	})
	mux.HandleFunc("/up/large", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("0123456789ghijkl", 50_000))
	})
	mux.HandleFunc("/up/lines", func(w http.ResponseWriter, r *http.Request) {
		c, rw := hijack(w)
		io.WriteString(c, switched)
		serveLines(c, rw.Reader)
	})
	mux.HandleFunc("/up/gone", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		world.note("upstream: " + r.Context().Err().Error())
	})
	s := httptest.NewServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	return u
}

func rawUpstream(t *testing.T) *url.URL {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil {
					io.WriteString(c, rawTexts[r.URL.Path])
				}
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

// deadUpstream is an address that refuses connections.
func deadUpstream(t *testing.T) *url.URL {
	return &url.URL{Scheme: "http", Host: reactortest.FreePort(t)}
}

func addProxies(mux *http.ServeMux, w *world) {
	transport := &http.Transport{DisableCompression: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	for prefix, to := range map[string]*url.URL{"/up/": w.up.good, "/raw/": w.up.raw, "/dead/": w.up.dead} {
		mux.Handle(prefix, &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
			Transport: transport,
			ErrorLog:  log.New(io.Discard, "", 0),
		})
	}
}
