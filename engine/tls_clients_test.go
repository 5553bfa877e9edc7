package engine

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
)

// checking returns a TLS that checks clients with the test certificate, and with others that nobody has.
func checking(auth tls.ClientAuthType, others ...*x509.Certificate) *TLS {
	config := serverConfig()
	config.NextProtos = []string{"h2", "http/1.1"}
	config.ClientAuth = auth
	if auth != tls.NoClientCert {
		cert, _ := testCertificate()
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AddCert(must(x509.ParseCertificate(cert.Certificate[0])))
		for _, other := range others {
			config.ClientCAs.AddCert(other)
		}
	}
	return &TLS{Config: config}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// knownClient is the configuration of a client that has a certificate.
func knownClient(protocols ...string) *tls.Config {
	cert, _ := testCertificate()
	config := clientConfig()
	config.Certificates, config.NextProtos = []tls.Certificate{cert}, protocols
	return config
}

// dialH2TLS is dialH2 with TLS.
func dialH2TLS(t *testing.T, addr string) *h2Peer {
	t.Helper()
	return greetH2(t, dialTLS(t, addr, knownClient("h2")).stream)
}

// clientChecks are settings of a listener, one after the other, and whether connections stay.
var clientChecks = []struct {
	name          string
	before, after func() *TLS
	stay          bool
}{
	{"renewed", func() *TLS { return checking(tls.NoClientCert) }, func() *TLS { return checking(tls.NoClientCert) }, true},
	{"renewed, the same authorities", func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, true},
	{"asked, not checked", func() *TLS { return checking(tls.RequestClientCert) }, func() *TLS { return checking(tls.RequestClientCert, stranger()) }, true},
	{"required", func() *TLS { return checking(tls.NoClientCert) }, func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, false},
	{"not optional", func() *TLS { return checking(tls.VerifyClientCertIfGiven) }, func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, false},
	{"an authority is gone", func() *TLS { return checking(tls.RequireAndVerifyClientCert, stranger()) }, func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, false},
	{"not required", func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, func() *TLS { return checking(tls.NoClientCert) }, false},
	{"plain", func() *TLS { return checking(tls.NoClientCert) }, func() *TLS { return nil }, true},
	{"plain, after a check", func() *TLS { return checking(tls.RequireAndVerifyClientCert) }, func() *TLS { return nil }, false},
	{"no longer plain", func() *TLS { return nil }, func() *TLS { return checking(tls.NoClientCert) }, false},
	{"plain as before", func() *TLS { return nil }, func() *TLS { return nil }, true},
}

// stranger is the certificate of an authority that has signed none.
var stranger = sync.OnceValue(func() *x509.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	about := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "stranger"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key))))
})

// When clients are checked in another way, open connections end: the new backend gets no request of them. Otherwise they stay.
func TestServeChecksClients(t *testing.T) {
	for _, tt := range clientChecks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := &testBackend{window: 64}, &testBackend{window: 64}
			e := startEngine(t, Options{Loops: 2})
			ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			before := tt.before()
			ln.SetTLS(before)
			serve := func(b backend.Backend) {
				if err := e.Serve(ln, b, 0, Limits{H2C: true}); err != nil {
					t.Fatal(err)
				}
			}
			serve(first)
			open := func() *peer {
				if before == nil {
					return dial(t, ln.Addr())
				}
				return dialTLS(t, ln.Addr(), knownClient("http/1.1"))
			}
			idle, busy := open(), open()
			streamsOf := dialH2TLS
			if before == nil {
				streamsOf = func(t *testing.T, addr string) *h2Peer { return dialH2(t, addr) }
			}
			streams := streamsOf(t, ln.Addr())
			idle.say(get("/hello"))
			idle.hears(200)
			streams.lives(1)
			busy.say(get("/slow"))
			eventually(t, "the slow exchange runs", func() bool { return first.count(&first.started) == 3 })

			changed := time.Now()
			ln.SetTLS(tt.after())
			serve(second)
			if tt.stay {
				idle.say(get("/hello"))
				idle.hears(200)
				streams.lives(3)
				first.release()
				busy.hears(200)
				if err := e.AwaitEnded(t.Context()); err != nil {
					t.Error(err)
				}
				busy.say(get("/hello"))
				busy.hears(200)
				if n, m := first.count(&first.started), second.count(&second.started); n != 3 || m != 3 {
					t.Errorf("%d exchanges at the first backend and %d at the second, want 3 and 3", n, m)
				}
				return
			}
			idle.endsAfterRequest(changed)
			released := time.Now()
			first.release()
			if got := busy.hears(200); got != "slow" {
				t.Errorf("body %q", got)
			}
			busy.endsAfterRequest(released)
			streams.hearsGoAway(http2.ErrCodeNo)
			if err := e.AwaitEnded(t.Context()); err != nil {
				t.Error(err)
			}
			if n := second.count(&second.started); n != 0 {
				t.Errorf("%d exchanges at the second backend", n)
			}
			streams.Close()
		})
	}
}

// held is a connection that writes nothing from its second write on, until it is let go.
type held struct {
	net.Conn
	writes int
	letGo  chan struct{}
}

func (h *held) Write(p []byte) (int, error) {
	if h.writes++; h.writes > 1 {
		<-h.letGo
	}
	return h.Conn.Write(p)
}

// A handshake that began before clients were checked in another way is for the backend of that time. One that had not begun is done
// in the new way.
func TestServeChecksClientsInHandshakes(t *testing.T) {
	first, second := &testBackend{window: 64}, &testBackend{window: 64}
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetTLS(checking(tls.NoClientCert))
	mustServe(t, e, ln, first)
	var begun []*held
	for range 3 {
		c, err := net.Dial("tcp4", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitMost))
		begun = append(begun, &held{Conn: c, letGo: make(chan struct{})})
	}
	secured := make(chan *tls.Conn, 2)
	for i, protocol := range []string{"http/1.1", "h2"} {
		go func() {
			config := clientConfig()
			config.NextProtos = []string{protocol}
			c := tls.Client(begun[i], config)
			if err := c.Handshake(); err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
			secured <- c
		}()
	}
	eventually(t, "two handshakes run, and a connection waits", func() bool {
		running, _ := e.Handshakes()
		return running == 2 && e.Conns() == 3
	})
	ln.SetTLS(checking(tls.RequireAndVerifyClientCert))
	mustServe(t, e, ln, second)
	over := make(chan error, 1)
	go func() { over <- e.AwaitEnded(t.Context()) }()

	idle := tls.Client(begun[2], clientConfig())
	close(begun[2].letGo)
	err = idle.Handshake()
	if err == nil { // in TLS 1.3 a client learns of it by its first read
		_, err = idle.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a client without a certificate: %v", err)
	}
	select {
	case err := <-over:
		t.Errorf("AwaitEnded returns %v before the handshakes are over", err)
	default:
	}
	for range 2 {
		close(begun[0].letGo)
		c := wait(t, secured, "the end of a handshake")
		if c.ConnectionState().NegotiatedProtocol == "h2" {
			p := greetH2(t, c)
			p.hearsGoAway(http2.ErrCodeNo)
			p.Close()
		} else {
			p := &peer{t, c, bufio.NewReader(c)}
			p.say(get("/hello"))
			p.hears(200)
			p.hearsEnd()
		}
		begun = begun[1:]
	}
	if err := wait(t, over, "the end of AwaitEnded"); err != nil {
		t.Error(err)
	}
	if n, m := first.count(&first.started), second.count(&second.started); n != 1 || m != 0 {
		t.Errorf("%d exchanges at the first backend and %d at the second, want 1 and 0", n, m)
	}
}

// Connections that have left HTTP, such as WebSockets, are told to end, as when the listener closes.
func TestServeChecksClientsOfUpgrades(t *testing.T) {
	told := make(chan struct{}, 1)
	b := &switching{t: t, protocol: drains{told}}
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(setup *TLS) {
		ln.SetTLS(setup)
		if err := e.Serve(ln, b, 0, Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	serve(checking(tls.NoClientCert))
	p := dialTLS(t, ln.Addr(), clientConfig())
	p.say(upgradeRequest)
	p.switches()
	serve(checking(tls.NoClientCert))
	select {
	case <-told:
		t.Error("it is told to end when nothing has changed")
	default:
	}
	serve(checking(tls.RequireAndVerifyClientCert))
	wait(t, told, "the connection is told to end")
}

// drains is a Protocol whose Streams report that they are to end.
type drains struct{ told chan struct{} }

func (d drains) Open(backend.Conn) backend.Stream { return d }
func (d drains) Data(backend.Conn)                {}
func (d drains) Room(backend.Conn)                {}
func (d drains) Closed(backend.Conn, error)       {}
func (d drains) Drain(c backend.Conn) {
	d.told <- struct{}{}
	c.Close()
}

// While the authorities of clients change again and again, no request of Go's client fails.
func TestServeChecksClientsUnderLoad(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	setups := []*TLS{checking(tls.RequireAndVerifyClientCert), checking(tls.RequireAndVerifyClientCert, stranger())}
	ln.SetTLS(setups[0])
	mustServe(t, e, ln, &testBackend{})
	var stop atomic.Bool
	var served atomic.Int64
	ended := make(chan struct{})
	for i := range 4 {
		transport := &http.Transport{TLSClientConfig: knownClient(), ForceAttemptHTTP2: i%2 == 0}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: waitMost}
		go func() {
			defer func() { ended <- struct{}{} }()
			for !stop.Load() && !t.Failed() {
				begun := time.Now()
				res, err := client.Get("https://" + ln.Addr() + "/hello")
				if err != nil && time.Since(begun) >= time.Second {
					continue // this machine is so busy that the time for a last request on the new connection was over
				}
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if want := fmt.Sprintf("HTTP/%d", 1+(i+1)%2); res.StatusCode != 200 || res.Proto[:6] != want {
					t.Errorf("%s, %s", res.Status, res.Proto)
				}
				served.Add(1)
			}
		}()
	}
	for i := range 20 {
		before := served.Load()
		ln.SetTLS(setups[(i+1)%2])
		mustServe(t, e, ln, &testBackend{})
		eventually(t, "requests are served", func() bool { return served.Load() > before+8 || t.Failed() })
	}
	stop.Store(true)
	for range 4 {
		wait(t, ended, "a client ends")
	}
}

// AwaitEnded does not wait for longer than its context.
func TestAwaitEnded(t *testing.T) {
	b := &testBackend{window: 64}
	e, ln := served(t, b)
	p := dial(t, ln.Addr())
	p.say(get("/slow"))
	eventually(t, "the slow exchange runs", func() bool { return b.count(&b.started) == 1 })
	if err := e.AwaitEnded(t.Context()); err != nil {
		t.Error(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.AwaitEnded(over); err != context.Canceled {
		t.Errorf("%v with a request in progress", err)
	}
	b.release()
	p.hears(200)
	p.Close()
	if err := e.AwaitEnded(t.Context()); err != nil {
		t.Error(err)
	}
}
