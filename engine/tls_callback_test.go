package engine

import (
	"crypto/tls"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"moonbridge/handler/logging"
)

// askingFor is a client's configuration that names a host, whatever the certificate says.
func askingFor(host string) *tls.Config {
	config := clientConfig()
	config.ServerName, config.InsecureSkipVerify = host, true
	return config
}

// startAsked starts a server that calls ask for each handshake.
func startAsked(t *testing.T, ask func(host string)) (*Engine, string) {
	t.Helper()
	config := serverConfig()
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		ask(hello.ServerName)
		return nil, nil // that of the configuration
	}
	return startTLS(t, Options{Loops: 1, Logger: slog.New(slog.DiscardHandler)}, Limits{}, &testBackend{window: 64}, &TLS{Config: config, HandshakeTimeout: -1})
}

func noSlots(t *testing.T, e *Engine) {
	t.Helper()
	await(t, "all slots are free", func() bool { return len(e.handshakes.slots) == 0 })
}

// However many functions of the program wait for something, other handshakes go on.
func TestTLSCallbackWaits(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 10)
	e, addr := startAsked(t, func(host string) {
		if host == "slow" {
			arrived <- struct{}{}
			<-release
		}
	})
	const slow = 5 // more than there are slots
	done := make(chan error, slow)
	for range slow {
		go func() {
			c, err := tls.Dial("tcp", addr, askingFor("slow"))
			if err == nil {
				c.Close()
			}
			done <- err
		}()
	}
	for range slow {
		select {
		case <-arrived:
		case <-time.After(waitMost):
			close(release)
			t.Fatal("a handshake waits for those that wait")
		}
	}
	p := dialTLS(t, addr, askingFor("other"))
	p.say(get("/hello"))
	p.hears(200)
	close(release)
	for range slow {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	noSlots(t, e)
}

// A function of the program that panics, or ends its goroutine, fails its handshake and nothing else.
func TestTLSCallbackFails(t *testing.T) {
	e, addr := startAsked(t, func(host string) {
		switch host {
		case "panics":
			panic("the function fails")
		case "exits":
			runtime.Goexit()
		}
	})
	for range 3 {
		for _, host := range []string{"panics", "exits"} {
			if _, err := tls.Dial("tcp", addr, askingFor(host)); err == nil {
				t.Errorf("%s: the handshake is complete", host)
			}
		}
	}
	p := dialTLS(t, addr, askingFor("other"))
	p.say(get("/hello"))
	p.hears(200)
	noSlots(t, e)
	if n := e.Refusals()[logging.Event{Level: slog.LevelError, Message: handshakesPanicked}]; n != 3 {
		t.Errorf("%d panics are counted, want 3", n)
	}
}
