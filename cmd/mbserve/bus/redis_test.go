package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startRedis starts a server that keeps everything in memory. Debian's package redis-tools has it under the name of one of its tools.
func startRedis(t *testing.T, args ...string) *peer {
	t.Helper()
	program, err := exec.LookPath("redis-check-rdb")
	if err != nil {
		t.Skip("redis-tools is not installed")
	}
	port := freePort(t)
	ports := []string{"--port", port}
	if len(args) > 0 && args[0] == "--tls-cert-file" {
		ports = []string{"--port", "0", "--tls-port", port}
	}
	args = append(append(ports, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()), args...)
	return startPeer(t, port, program, "redis-server", args...)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "secret")
	at := address(t, "redis://:secret@"+r.addr+"/3?stream=x")
	a, b := newNodeAt(t, patience, at, nil), newNodeAt(t, patience, at, nil)
	here, there := a.follow("", "x"), b.follow("", "x")
	for i := range 500 {
		a.publish("x", fmt.Sprint(i))
	}
	here.want(numbers(0, 500)...)
	there.want(numbers(0, 500)...)
	if here.last() != there.last() {
		t.Errorf("ids %q and %q", here.last(), there.last())
	}
	late := newNodeAt(t, patience, at, nil).follow("0", "x")
	late.want(numbers(0, 500)...)
	wrong := newNodeAt(t, 0, address(t, "redis://:wrong@"+r.addr), nil)
	eventually(t, "the wrong password is told", func() bool { return strings.Contains(wrong.text.String(), "WRONGPASS") })
	for _, n := range []*node{a, wrong} {
		if text := n.text.String(); strings.Contains(text, "secret") || strings.Contains(text, ":wrong") {
			t.Errorf("the password is in the log: %s", text)
		}
	}
	// All that Redis had is gone.
	r.end()
	eventually(t, "they notice", func() bool { return !a.Stats().Connected && !b.Stats().Connected })
	b.publish("x", "500")
	r.start()
	there.until("it is ended", func() bool { return there.slow })
	back := b.follow(there.last(), "x")
	back.until("it goes on", func() bool { return len(back.data) == 1 && back.data[0] == "500" })
	if !back.lost {
		t.Error("not told that messages may be missing")
	}
}

// Redis keeps its data: no subscriber notices that it was away.
func TestRedisRestart(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	at := address(t, "redis://"+r.addr)
	a, b := newNodeAt(t, patience, at, nil), newNodeAt(t, patience, at, nil)
	there := b.follow("", "x")
	for i := range 100 {
		a.publish("x", fmt.Sprint(i))
		if i == 50 {
			there.want(numbers(0, 51)...)
			r.end()
			eventually(t, "they notice", func() bool { return !a.Stats().Connected && !b.Stats().Connected })
		}
	}
	r.start()
	there.want(numbers(0, 100)...)
	if there.slow || there.lost || b.Stats().Gaps != 0 {
		t.Errorf("told of a loss: %v, %v; log: %s", there.slow, there.lost, b.text)
	}
}

// The stream does not grow for ever.
func TestRedisTrim(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	a := newNodeAt(t, patience, address(t, "redis://"+r.addr), nil)
	a.window.mu.Lock()
	a.window.maxEntries = 10
	a.window.mu.Unlock()
	here := a.follow("", "x")
	for i := range 400 { // each in an entry of its own; they go in groups of a hundred
		a.publish("x", fmt.Sprint(i))
		here.until("it comes", func() bool { return len(here.data) == i+1 })
	}
	s := dialRedis(a.address, new(window))
	defer s.close()
	if n, err := s.client.XLen(t.Context(), s.stream).Result(); err != nil || n < 10 || n > 220 {
		t.Errorf("%d entries are left, %v", n, err)
	}
}

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	r := startRedis(t, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	at := address(t, "rediss://"+r.addr)
	at.roots = roots
	a := newNodeAt(t, patience, at, nil)
	here := a.follow("", "x")
	a.publish("x", "1")
	here.want("1")
	stranger := newNodeAt(t, 0, address(t, "rediss://"+r.addr), nil)
	eventually(t, "the certificate is refused", func() bool { return strings.Contains(stranger.text.String(), "x509") })
}

// certificate makes a certificate of 127.0.0.1, which signs itself.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bus"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if os.WriteFile(cert, public, 0o600) != nil || os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600) != nil {
		t.Fatal("files are not written")
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return cert, key, roots
}
