package engine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// testCertificate returns a certificate that signs itself, for any name, and a pool that trusts it.
var testCertificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	parsed, _ := x509.ParseCertificate(der)
	trusted := x509.NewCertPool()
	trusted.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, trusted
})

func serverConfig() *tls.Config {
	cert, _ := testCertificate()
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
}

func clientConfig() *tls.Config {
	_, trusted := testCertificate()
	return &tls.Config{RootCAs: trusted, ServerName: "localhost"}
}

// startTLS is start with TLS.
func startTLS(t *testing.T, o Options, lim Limits, b backend.Backend, setup *TLS) (*Engine, string) {
	t.Helper()
	o.Batch = o.Batch || threadedTLS
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		e.Shutdown(ctx)
		noConns(t, e)
		for _, l := range e.loops {
			if n := l.pool.InUse(); n != 0 {
				t.Errorf("%d buffers are not given back", n)
			}
			if l.tls != nil && (len(l.tls.handshakes) > 0 || l.tls.twin.conns.Len() > 0) {
				t.Errorf("left: %d handshakes, %d connections", len(l.tls.handshakes), l.tls.twin.conns.Len())
			}
		}
		if running, waiting := e.Handshakes(); running+waiting != 0 {
			t.Errorf("%d handshakes run and %d wait", running, waiting)
		}
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetTLS(setup)
	if err := e.Serve(ln, b, 0, lim); err != nil {
		t.Fatal(err)
	}
	return e, ln.Addr()
}

func dialTLS(t *testing.T, addr string, config *tls.Config) *peer {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(waitMost))
	return &peer{t, c, bufio.NewReader(c)}
}

func TestTLSVersions(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := clientConfig()
		config.MinVersion, config.MaxVersion, config.NextProtos = version, version, []string{"h2", "http/1.1"}
		p := dialTLS(t, addr, config)
		for range 3 {
			p.say(get("/hello"))
			p.hears(200)
		}
		if s := p.stream.(*tls.Conn).ConnectionState(); s.Version != version || s.NegotiatedProtocol != "http/1.1" {
			t.Errorf("version %x, protocol %q", s.Version, s.NegotiatedProtocol)
		}
		p.say("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		p.hears(200)
		p.hearsEnd()
	}
	config := clientConfig()
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := tls.Dial("tcp", addr, config); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: error %v", err)
	}
	config = clientConfig()
	config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	if _, err := tls.Dial("tcp", addr, config); err == nil || !strings.Contains(err.Error(), "handshake failure") {
		t.Errorf("weak cipher suites: error %v", err)
	}
}

func TestTLSResumption(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 2}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	config := clientConfig()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 4 {
		p := dialTLS(t, addr, config)
		p.say(get("/hello"))
		p.hears(200)
		if resumed := p.stream.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
		p.Close()
	}
}

func TestTLSClientCertificate(t *testing.T) {
	cert, trusted := testCertificate()
	setup := serverConfig()
	setup.ClientAuth, setup.ClientCAs = tls.RequireAndVerifyClientCert, trusted
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: setup})
	config := clientConfig()
	config.Certificates = []tls.Certificate{cert}
	p := dialTLS(t, addr, config)
	p.say(get("/hello"))
	p.hears(200)
	c, err := tls.Dial("tcp", addr, clientConfig())
	if err == nil { // in TLS 1.3 a client learns of it by its first read
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: error %v", err)
	}
}

// dribble is a connection that writes its bytes one by one.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (n int, err error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestTLSByteByByte(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		config := clientConfig()
		config.MaxVersion = version
		c := tls.Client(dribble{raw}, config)
		p := &peer{t, c, bufio.NewReader(c)}
		p.say(post("/echo", "slowly"))
		if got := p.hears(200); got != "slowly" {
			t.Errorf("body %q", got)
		}
		for _, b := range []byte(post("/echo", "in small records")) { // a record each
			p.say(string(b))
		}
		if got := p.hears(200); got != "in small records" {
			t.Errorf("body %q", got)
		}
	}
}

func TestTLSLargeBodies(t *testing.T) {
	b := &testBackend{window: 10_000}
	_, addr := startTLS(t, Options{Loops: 2}, Limits{OutputBytes: 20_000}, b, &TLS{Config: serverConfig()})
	var all sync.WaitGroup
	for i := range 2 { // not more, and no longer bodies: through small buffers they take long
		all.Go(func() {
			config := clientConfig()
			config.MaxVersion = []uint16{tls.VersionTLS12, tls.VersionTLS13}[i]
			c := tls.Client(smallBuffers(t, addr), config)
			p := &peer{t, c, bufio.NewReader(c)}
			body := strings.Repeat("0123456789abcde\n", 300_000+i) // more than the sockets hold
			go io.WriteString(p, post("/echo", body))
			await(t, "output is held back", b.holds)
			got, err := slowly(p.r)
			if err != nil || got != body {
				t.Errorf("%d bytes of %d, equal %v, %v", len(got), len(body), got == body, err)
			}
		})
	}
	all.Wait()
}

// holds reports whether output was not taken whole.
func (b *testBackend) holds() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held > 0
}

// slowly reads a response in small parts, at first after everything that fits into the sockets was sent.
func slowly(r *bufio.Reader) (string, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	var got bytes.Buffer
	part := make([]byte, 777)
	for {
		n, err := resp.Body.Read(part)
		got.Write(part[:n])
		if err == io.EOF {
			return got.String(), nil
		} else if err != nil {
			return got.String(), err
		}
	}
}

// smallBuffers makes the connection's kernel buffers small, so that writes of the server come to their end early.
func smallBuffers(t *testing.T, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A peer that reads slowly gets all of the response, and then the words that end it: also in a response that ends with the
// connection, where only these show that it is complete.
func TestTLSSlowReaderHearsTheEnd(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	for _, size := range []int{16, 100_000, 1 << 20, 5 << 20} {
		c := tls.Client(smallBuffers(t, addr), clientConfig())
		p := &peer{t, c, bufio.NewReaderSize(c, 300)}
		p.say("GET /big/" + itoa(size) + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		got, err := slowly(p.r)
		if err != nil || len(got) != size/16*16 {
			t.Errorf("%d of %d bytes: %v", len(got), size, err)
		}
		p.hearsEnd()
	}
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

// A response that breaks off must not look complete.
func TestTLSResetIsNoEnd(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	p := dialTLS(t, addr, clientConfig())
	p.say(get("/reset/100"))
	if _, err := io.Copy(io.Discard, p.r); err == nil {
		t.Error("the connection has ended as if all were sent")
	}
}

// A request body that ends with the connection is not complete, whether the end was said in TLS or not.
func TestTLSBodyCut(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := startTLS(t, Options{Loops: 1}, Limits{BufferBody: -1}, b, &TLS{Config: serverConfig()})
	for _, said := range []bool{true, false} {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(raw, clientConfig())
		p := &peer{t, c, bufio.NewReader(c)}
		p.say("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		if said {
			c.CloseWrite()
		}
		raw.(*net.TCPConn).CloseWrite()
		p.hears(400)
	}
	if b.bodies != 0 {
		t.Errorf("%d bodies were complete", b.bodies)
	}
}

// A peer that has finished sending still gets its response.
func TestTLSHalfClose(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := startTLS(t, Options{Loops: 1}, Limits{PeerEnd: PeerEndWait}, b, &TLS{Config: serverConfig()})
	for range 20 {
		p := dialTLS(t, addr, clientConfig())
		p.say(post("/echo", "last") + get("/hello"))
		p.CloseWrite()
		p.hears(200)
		p.hears(200)
		p.hearsEnd()
	}
}

func TestTLSPipelining(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	p := dialTLS(t, addr, clientConfig())
	p.say(strings.Repeat(get("/hello")+post("/echo", "body"), 500))
	for range 500 {
		p.hears(200)
		if got := p.hears(200); got != "body" {
			t.Fatalf("body %q", got)
		}
	}
}

func TestTLSPlainRequest(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	p := dial(t, addr)
	p.say(get("/hello"))
	p.hears(400)
	p.hearsEnd()
}

func TestTLSGarbage(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	record := func(body string) string {
		return string([]byte{22, 3, 1, byte(len(body) >> 8), byte(len(body))}) + body
	}
	for _, sent := range []string{
		"\x00", "\x80\x2e\x01\x00\x02", "\x16\xff\xff\xff\xff", record("garbage"), record("\x01\xff\xff\xff"), record(""),
		record("\x01\x00\x00\x05hello"), record(strings.Repeat("\x01\x00\x00\x00", 4000)), strings.Repeat("\x16\x03", 40_000),
	} {
		p := dial(t, addr)
		io.WriteString(p, sent)
		p.CloseWrite()
		io.Copy(io.Discard, p.r) // an alert, a reset, or nothing
	}
	await(t, "connections end", func() bool { return e.Conns() == 0 })
	p := dialTLS(t, addr, clientConfig())
	p.say(get("/hello"))
	p.hears(200)
}

// await waits for a condition.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitMost); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// stopped is a net.Conn that fails after a number of bytes written, to leave a handshake in each of its states.
type stopped struct {
	net.Conn
	left int
}

var errStopped = errors.New("stopped")

func (s *stopped) Write(p []byte) (n int, err error) {
	if s.left <= 0 {
		return 0, errStopped
	}
	n = min(len(p), s.left)
	s.left -= n
	if n, err = s.Conn.Write(p[:n]); n < len(p) && err == nil {
		err = errStopped
	}
	return n, err
}

// Connections that end, are reset or stay in the middle of a handshake cost nothing afterwards.
func TestTLSHandshakeBreaksOff(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 2}, Limits{IdleTimeout: 300 * time.Millisecond}, &testBackend{window: 64},
		&TLS{Config: serverConfig(), HandshakeTimeout: 300 * time.Millisecond})
	for _, sent := range []int{0, 1, 5, 200, 1400, 1500, 1550, 1600, 1700, 1 << 20} {
		for _, end := range []func(*net.TCPConn){
			func(c *net.TCPConn) { c.Close() },
			func(c *net.TCPConn) { c.CloseWrite() },
			func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
			func(*net.TCPConn) {}, // stays
		} {
			raw, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			c := tls.Client(&stopped{raw, sent}, clientConfig())
			c.SetDeadline(time.Now().Add(waitMost))
			c.Handshake() // as far as it gets
			end(raw.(*net.TCPConn))
			if sent == 1<<20 {
				raw.(*net.TCPConn).SetLinger(0)
				raw.Close() // the handshake is complete, and the connection idle
			}
		}
	}
	await(t, "connections end", func() bool { return e.Conns() == 0 })
	await(t, "handshakes end", func() bool { r, w := e.Handshakes(); return r+w == 0 })
}
