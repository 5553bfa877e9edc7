package parity

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// world is what the handlers of one case share with its client.
type world struct {
	t     *testing.T
	gate  chan struct{} // a handler waits here until the client lets it go on
	notes chan string   // what handlers have seen
	up    *upstreams
}

// wait makes a handler wait for the client.
func (w *world) wait() {
	select {
	case <-w.gate:
	case <-time.After(patience):
		w.t.Error("the client does not let the handler go on")
	}
}

func (w *world) note(text string) { w.notes <- text }

// aServer starts a server with a handler. It returns the address.
type aServer struct {
	name  string
	start func(t *testing.T, h http.Handler) (address string)
}

var servers = [2]aServer{{"net/http", startNetHTTP}, {"Moonbridge", startMoonbridge}}

func startNetHTTP(t *testing.T, h http.Handler) string {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(ln) })
	t.Cleanup(func() {
		s.Close()
		served.Wait()
	})
	return ln.Addr().String()
}

func startMoonbridge(t *testing.T, h http.Handler) string { return startMoonbridgeTLS(t, h, nil) }

// startMoonbridgeTLS speaks TLS if config is not nil.
func startMoonbridgeTLS(t *testing.T, h http.Handler, config *tls.Config) string {
	quiet := slog.New(slog.DiscardHandler)
	e, err := engine.New(engine.Options{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		e.Shutdown(ctx)
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		ln.SetTLS(&engine.TLS{Config: config})
	}
	b := handler.Config{Logger: quiet}.Blocking(handler.HTTP(h), 0)
	if err := e.Serve(ln, b, 0, engine.Limits{Connect: true}); err != nil {
		t.Fatal(err)
	}
	return ln.Addr()
}
