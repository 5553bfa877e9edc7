package route_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/route"
	"moonbridge/httpparse"
)

// probe is a backend that takes no files, and tells what it can do with each exchange.
type probe struct {
	on   backend.Loop
	told chan string
}

func (p *probe) Attach(l backend.Loop) (backend.LoopBackend, error) { return &probe{l, p.told}, nil }

func (p *probe) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, more bool) (backend.Running, error) {
	before := "no ConnKeeper"
	if k, ok := x.(backend.ConnKeeper); ok {
		before, _ = k.ConnValue().(string)
		k.SetConnValue(string(h.Bytes(h.Path)))
	}
	streamer, streams := x.(backend.Streamer)
	_, files := x.(backend.FileSender)
	p.told <- fmt.Sprintf("TLS %v, after %q, streams %v, files %v %v, received %v",
		backend.TLSOf(x) != nil, before, streams, files, backend.TakesFiles(x, false), !more || backend.BodyReceived(x))
	p.on.Post(func() {
		x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), nil, !streams)
		if streams {
			streamer.Stream(&probed{x: x, told: p.told, name: "the stream"})
		} else {
			x.Done(backend.EndKeep)
		}
	})
	return &probed{x: x, told: p.told, name: "before the stream"}, nil
}

// probed is a Running that takes no body, and tells when the client has gone.
type probed struct {
	x    backend.Exchange
	told chan string
	name string
}

func (r *probed) BodyRoom() (a, b []byte) { return nil, nil }
func (r *probed) BodyCommit(int)          {}
func (r *probed) BodyEnd()                {}
func (r *probed) BodyAbort(bool)          {}
func (r *probed) OutputRoom()             {}
func (r *probed) Cancel()                 { r.told <- r.name + " is cancelled" }
func (r *probed) PeerEnd()                { r.told <- r.name + " hears of the end"; r.x.Done(backend.EndClose) }

// A backend that gets a body out of a file can do with its exchange what it can do with any other.
func TestBodiesInFilesHideNothing(t *testing.T) {
	lender := httptest.NewTLSServer(nil) // has a certificate and a client that trusts it
	defer lender.Close()
	p := &probe{told: make(chan string, 10)}
	files := quiet.Blocking(handler.Func(func(*handler.Response, *handler.Request) {}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: p}}, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{10, 100_000} {
		address := serveTLS(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000}, &tls.Config{Certificates: lender.TLS.Certificates})
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "POST /p/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		} else if body, err := io.ReadAll(res.Body); string(body) != "ok" || err != nil {
			t.Errorf("%d bytes: %q, %v", n, body, err)
		}
		c.NetConn().(*net.TCPConn).CloseWrite()
		for _, want := range []string{`TLS true, after "", streams true, files true true, received true`, "the stream hears of the end"} {
			select {
			case got := <-p.told:
				if got != want {
					t.Errorf("%d bytes: %q, want %q", n, got, want)
				}
			case <-time.After(patience):
				t.Fatalf("%d bytes: nothing, want %q", n, want)
			}
		}
	}
}

// The value of a connection is the same for all its requests, wherever their bodies are.
func TestBodiesInFilesKeepTheValue(t *testing.T) {
	type key struct{}
	conns := 0 // of one loop
	o := handler.HTTPOptions{ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
		conns++
		return context.WithValue(ctx, key{}, conns)
	}}
	large := quiet
	large.BodyMax = 1 << 20
	to := large.OnLoop(o.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(key{}))
	})))
	files := quiet.Blocking(handler.Func(func(*handler.Response, *handler.Request) {}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: to}}, files)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	for _, n := range []int{10, 500_000, 10} {
		fmt.Fprintf(c, "POST /p/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "1" || err != nil {
			t.Errorf("%d bytes: connection %q, %v", n, body, err)
		}
	}
}

// refusing is a backend that takes no files, and refuses each exchange after it has taken it.
type refusing struct{ on backend.Loop }

func (refusing) Attach(l backend.Loop) (backend.LoopBackend, error) { return refusing{l}, nil }

func (b refusing) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.on.Post(func() {
		backend.Refuse(x, &backend.TooMany{RetryAfter: time.Second, Fields: []byte("RateLimit: x\r\n")})
	})
	return &probed{x: x, told: make(chan string, 1)}, nil
}

// A request whose body is in a file is refused with the same fields as others.
func TestBodiesInFilesRefused(t *testing.T) {
	files := quiet.Blocking(handler.Func(func(*handler.Response, *handler.Request) {}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: refusing{}}}, files)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000})
	for _, n := range []int{10, 100_000} {
		res, err := http.Post("http://"+address+"/p/x", "text/plain", strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if h := res.Header; res.StatusCode != 429 || h.Get("RateLimit") != "x" || h.Get("Retry-After") != "1" {
			t.Errorf("%d bytes: %d, %v", n, res.StatusCode, h)
		}
	}
}

// A body that a stream has not taken is dropped: otherwise a few clients could fill the spool for as long as they like.
func TestStreamsKeepNoFiles(t *testing.T) {
	p := &probe{told: make(chan string, 10)}
	files := quiet.Blocking(handler.Func(func(*handler.Response, *handler.Request) {}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: p}}, files)
	if err != nil {
		t.Fatal(err)
	}
	const n = 500_000
	// One loop: the client has the response before the file is dropped, but the loop takes the next request after that.
	address := serveWith(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000}, engine.Options{Loops: 1, Spool: engine.Spool{Bytes: n + n/2}})
	for i := range 3 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "POST /p/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 200 {
			t.Fatalf("stream %d: %v, %v", i, res, err)
		}
	}
}

// serveTLS is serve for clients that speak TLS.
func serveTLS(t *testing.T, b backend.Backend, lim engine.Limits, config *tls.Config) (address string) {
	t.Helper()
	e, err := engine.New(engine.Options{Loops: 1, Logger: slog.New(slog.DiscardHandler), Spool: engine.Spool{Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetTLS(&engine.TLS{Config: config})
	if err := e.Serve(ln, b, 0, lim); err != nil {
		t.Fatal(err)
	}
	return ln.Addr()
}
