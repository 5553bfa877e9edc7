// Package acmetest runs Pebble, the ACME server that the authors of Let's Encrypt have made for tests, on the loopback interface.
package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/reactor/reactortest"
)

// patience bounds every wait.
const patience = 40 * time.Second

// Authority is an ACME server. Its names all lead to 127.0.0.1.
type Authority struct {
	Directory string // URL
	RootFile  string // of the certificate that its own server shows; not the root of those that it issues

	config  string
	manage  string
	dns     string
	program string
	cmd     *exec.Cmd
	client  *http.Client
}

// Options of an Authority.
type Options struct {
	HTTPPort, TLSPort int           // where it expects challenges to be answered
	Validity          time.Duration // of certificates, 0: 90 days
}

// New prepares an Authority, which does not run yet. The test is skipped if Pebble is not installed.
func New(t testing.TB, o Options) *Authority {
	t.Helper()
	program, err := exec.LookPath("pebble")
	if err != nil {
		out, _ := exec.Command("go", "env", "GOPATH").Output()
		if program, err = exec.LookPath(filepath.Join(strings.TrimSpace(string(out)), "bin", "pebble")); err != nil {
			t.Skip("pebble is not installed: go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1")
		}
	}
	dir := t.TempDir()
	a := &Authority{RootFile: dir + "/ca.pem", config: dir + "/config.json", program: program, dns: serveNames(t)}
	pool := serverCertificate(t, a.RootFile, dir+"/ca-key.pem")
	a.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	listen, manage := reactortest.FreePortNumber(t), reactortest.FreePortNumber(t)
	a.Directory, a.manage = fmt.Sprintf("https://localhost:%d/dir", listen), fmt.Sprintf("https://localhost:%d", manage)
	validity := map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(o.Validity / time.Second)}}
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", listen), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate": a.RootFile, "privateKey": dir + "/ca-key.pem", "httpPort": o.HTTPPort, "tlsPort": o.TLSPort,
		"keyAlgorithm": "ecdsa", "profiles": validity, "retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err == nil {
		err = os.WriteFile(a.config, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Start starts the server. It has forgotten everything of an earlier run.
func (a *Authority) Start(t testing.TB) {
	t.Helper()
	a.cmd = exec.Command(a.program, "-config", a.config, "-dnsserver", a.dns)
	a.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	log, err := os.Create(filepath.Join(filepath.Dir(a.config), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of pebble:\n%s", text[max(0, len(text)-4<<10):])
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := a.client.Get(a.Directory); err == nil {
			resp.Body.Close()
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Stop ends the server.
func (a *Authority) Stop() {
	if a.cmd != nil {
		a.cmd.Process.Kill()
		a.cmd.Wait()
		a.cmd = nil
	}
}

// Roots are what the certificates that it issues lead to. Each run has others.
func (a *Authority) Roots(t testing.TB) *x509.CertPool {
	t.Helper()
	resp, err := a.client.Get(a.manage + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("root certificate: %v, %q", err, text)
	}
	return pool
}

// serverCertificate makes the certificate of the server itself.
func serverCertificate(t testing.TB, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
