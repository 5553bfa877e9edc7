package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/cmd/mbserve/acme/acmetest"
	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/reactor/reactortest"

	"github.com/caddyserver/certmagic"
)

const patience = 60 * time.Second

// text is a log that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wait waits until the log has all words in a line.
func (l *text) wait(t *testing.T, words ...string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(l.String()) {
			if !contains(line, words) {
				continue
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no line with %q:\n%s", words, l)
		}
	}
}

func contains(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// A certificate is renewed before it ends, with no handshake without one. If that fails, it stays in use.
func TestRenewal(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(t.Context())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, p, _ := net.SplitHostPort(ln.Addr())
	port, _ := strconv.Atoi(p)
	a := acmetest.New(t, acmetest.Options{TLSPort: port, HTTPPort: reactortest.FreePortNumber(t), Validity: 9 * time.Second})
	a.Start(t)
	roots := a.Roots(t)

	var log text
	logger := slog.New(slog.NewTextHandler(&log, nil))
	all := New(logger, "test")
	defer all.Close()
	settings := Settings{Storage: filepath.Join(t.TempDir(), "c"), CA: a.Directory, CARoot: a.RootFile}
	root, err := os.ReadFile(a.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	caRoots := x509.NewCertPool()
	caRoots.AppendCertsFromPEM(root)
	k := newKeeper(settings, caRoots, logger, 50*time.Millisecond)
	all.all[settings] = k
	config := &tls.Config{}
	k.Serve(config, []string{"a.test"})
	all.ServeChallenges(config)
	ln.SetTLS(&engine.TLS{Config: config})
	if err := e.Serve(ln, handler.OnLoop(handler.Func(func(*handler.Response, *handler.Request) {})), 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := k.Load([]string{"a.test"}); err != nil {
		t.Fatal(err)
	}
	k.Keep([]string{"a.test"}, Ports{TLS: port})
	log.wait(t, "certificate obtained", "domain=a.test")
	serial := func() string {
		// It is checked at its own time: on a busy machine, it may have ended before the next one is there.
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", ln.Addr(), &tls.Config{ServerName: "a.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		chain, others := c.ConnectionState().PeerCertificates, x509.NewCertPool()
		for _, other := range chain[1:] {
			others.AddCert(other)
		}
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: "a.test", Roots: roots, Intermediates: others, CurrentTime: chain[0].NotBefore}); err != nil {
			t.Fatal(err)
		}
		return chain[0].SerialNumber.String()
	}
	first := serial()
	for end := time.Now().Add(patience); serial() == first; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not renewed:\n%s", &log)
		}
	}
	log.wait(t, "certificate renewed", "domain=a.test")
	a.Stop()
	log.wait(t, "certificate not renewed: the one in use stays in use", "domain=a.test", "connection refused", "next=")
	if k.certificate("a.test") == nil {
		t.Error("the certificate is gone")
	}
}

// A directory in which others may write is not used.
func TestStorage(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if err := openStorage(dir); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("mode 0770: %v", err)
	}
	if err := openStorage(dir + "/file"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir + "/file"); err != nil || info.Mode().Perm() != directoryMode {
		t.Errorf("a new directory: %v, %v", info, err)
	}
	if err := os.WriteFile(dir+"/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openStorage(dir + "/x"); err == nil {
		t.Error("a file is a directory")
	}
}

// Keepers and domains that nothing uses any more are forgotten.
func TestOnly(t *testing.T) {
	all := New(slog.New(slog.DiscardHandler), "test")
	settings := Settings{Storage: t.TempDir(), CA: "https://127.0.0.1:1/"}
	k := all.For(settings, nil)
	if all.For(settings, nil) != k {
		t.Error("the same settings have another keeper")
	}
	for _, name := range []string{"a.test", "b.test"} {
		k.domains[name] = &domain{cancel: func() {}} // Keep would begin to obtain certificates
	}
	all.Only(map[*Keeper][]string{k: {"b.test"}})
	if all.keeping("a.test") != nil || all.keeping("b.test") != k {
		t.Error("the wrong domain is forgotten")
	}
	store(t, k, "b.test", "c.test")
	if err := k.Load([]string{"b.test", "c.test"}); err != nil {
		t.Fatal(err)
	}
	if k.certificate("b.test") == nil || k.certificate("c.test") == nil {
		t.Fatal("the certificates are not loaded")
	}
	all.Only(map[*Keeper][]string{k: {"b.test"}}) // the script with c.test has failed
	if k.certificate("b.test") == nil || k.certificate("c.test") != nil {
		t.Error("the wrong certificate is forgotten")
	}
	all.Only(nil)
	if all.keeping("b.test") != nil || len(all.all) != 0 {
		t.Error("a keeper that is not used stays")
	}
}

// A process that ends leaves no locks, even if an attempt to obtain a certificate does not end: others would wait until they are stale.
func TestCloseReleasesLocks(t *testing.T) {
	dir := t.TempDir()
	all := New(slog.New(slog.DiscardHandler), "test")
	k := all.For(Settings{Storage: dir, CA: "https://127.0.0.1:1/"}, nil)
	reached, goOn, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	k.config.Load().OnEvent = func(_ context.Context, event string, _ map[string]any) error {
		if event != "cert_obtaining" {
			return nil
		}
		close(reached)
		<-goOn
		defer close(left)
		return errors.New("a test has ended")
	}
	k.mu.Lock()
	k.begin("a.test")
	k.mu.Unlock()
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatal("no attempt is made")
	}
	locks := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "locks", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(locks()) != 1 {
		t.Errorf("during an attempt there are the locks %q", locks())
	}
	all.Close()
	if len(locks()) != 0 {
		t.Errorf("left: %q", locks())
	}
	close(goOn)
	<-left
}

// store puts certificates into the storage of a keeper.
func store(t *testing.T, k *Keeper, domains ...string) {
	t.Helper()
	c := k.config.Load()
	for _, name := range domains {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		issuer := c.Issuers[0].IssuerKey()
		for file, text := range map[string][]byte{
			certmagic.StorageKeys.SiteCert(issuer, name):       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			certmagic.StorageKeys.SitePrivateKey(issuer, name): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
			certmagic.StorageKeys.SiteMeta(issuer, name):       []byte(`{"sans":["` + name + `"]}`),
		} {
			if err := c.Storage.Store(t.Context(), file, text); err != nil {
				t.Fatal(err)
			}
		}
	}
}
