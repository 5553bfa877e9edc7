package main

import (
	"crypto/tls"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moonbridge/cmd/mbserve/acme/acmetest"
	"moonbridge/reactor/reactortest"
)

// automatic is a server with certificates of an authority.
type automatic struct {
	*instance
	authority *acmetest.Authority
	storage   string
	tlsPort   int
}

// startAutomatic starts a server for an authority that does not run yet.
func startAutomatic(t *testing.T, o acmetest.Options, tlsPort, httpPort int) *automatic {
	t.Helper()
	a := acmetest.New(t, o)
	storage := filepath.Join(t.TempDir(), "certificates")
	args := []string{"testdata/acme.lua", storage, a.Directory, a.RootFile, strconv.Itoa(tlsPort), strconv.Itoa(httpPort)}
	return &automatic{start(t, args...), a, storage, tlsPort}
}

// client is a client that asks for a host at the n-th listener, and trusts the authority.
func (a *automatic) client(host string) *http.Client {
	config := &tls.Config{ServerName: host, RootCAs: a.authority.Roots(a.t), NextProtos: []string{"http/1.1"}}
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// obtained waits until all certificates are there.
func (a *automatic) obtained() {
	a.t.Helper()
	for _, host := range []string{"a.test", "b.test", "c.test"} {
		a.wait("certificate obtained", "domain="+host, "until=")
	}
}

// check asks for a page of each host.
func (a *automatic) check(t *testing.T) {
	t.Helper()
	at := a.addresses()
	for host, i := range map[string]int{"a.test": 0, "b.test": 0, "c.test": 1} {
		wantsToHear(t, a.client(host), "https://"+at[i]+"/", host+" http/1.1")
	}
}

// All certificates of several listeners are obtained, whichever kind of challenge the authority can make.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		byTLS, byHTTP bool
	}{{"by TLS", true, false}, {"by HTTP", false, true}, {"by any", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tlsPort, httpPort := reactortest.FreePortNumber(t), reactortest.FreePortNumber(t)
			o := acmetest.Options{TLSPort: reactortest.FreePortNumber(t), HTTPPort: reactortest.FreePortNumber(t)}
			if tt.byTLS {
				o.TLSPort = tlsPort
			}
			if tt.byHTTP {
				o.HTTPPort = httpPort
			}
			a := startAutomatic(t, o, tlsPort, httpPort)
			a.authority.Start(t)
			a.reload() // it tries at once
			a.obtained()
			a.check(t)
			a.checkStorage(t)
			a.stop()
		})
	}
}

// checkStorage: only the owner can read what is stored.
func (a *automatic) checkStorage(t *testing.T) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(a.storage, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}
		return err
	})
	if err != nil || keys < 3 {
		t.Errorf("%d keys, %v", keys, err)
	}
}

// A reload and a new binary use the certificates that are stored, and order none.
func TestACMEStays(t *testing.T) {
	t.Parallel()
	o := acmetest.Options{TLSPort: reactortest.FreePortNumber(t), HTTPPort: reactortest.FreePortNumber(t)}
	a := startAutomatic(t, o, o.TLSPort, o.HTTPPort)
	a.authority.Start(t)
	a.reload()
	a.obtained()
	from := a.log.size()
	a.reload()
	a.check(t)
	a.signal(syscall.SIGUSR2)
	line := a.wait("msg=\"handed over\"")
	eventually(t, "the old process ends", func() bool { return gone(a.pid()) })
	a.check(t)
	if text := a.log.String()[from:]; strings.Contains(text, "certificate obtained") || strings.Contains(text, "certificate not") {
		t.Errorf("after the reload:\n%s", text)
	}
	a.endOf(number(t, field(line, "pid")))
}

// While the authority cannot be reached or trusted, the server serves everything else, says what is wrong and when it tries again, and
// handshakes for the host fail with a line in the log.
func TestACMEFails(t *testing.T) {
	t.Parallel()
	o := acmetest.Options{TLSPort: reactortest.FreePortNumber(t), HTTPPort: reactortest.FreePortNumber(t)}
	a := startAutomatic(t, o, o.TLSPort, o.HTTPPort)
	a.wait("certificate not obtained", "domain=a.test", "connection refused", "next=2")
	config := &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}
	if c, err := tls.Dial("tcp", a.addresses()[0], config); err == nil {
		t.Error("a handshake without a certificate")
		c.Close()
	}
	a.wait("TLS handshakes failed", `cause="no certificate"`, "there is no certificate for a.test: ")
	if got, err := says(http.DefaultClient, "http://"+a.addresses()[3]+"/"); got != "no TLS" {
		t.Errorf("without TLS: %q, %v", got, err)
	}

	right, err := os.ReadFile(a.authority.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	certificateFiles(t, filepath.Dir(a.authority.RootFile), "other", "localhost")
	other, err := os.ReadFile(filepath.Dir(a.authority.RootFile) + "/other.pem")
	if err != nil {
		t.Fatal(err)
	}
	a.authority.Start(t)
	write := func(text []byte) {
		if err := os.WriteFile(a.authority.RootFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(other)
	from := a.log.size()
	a.reload()
	a.log.wait(t, from, "certificate not obtained", "domain=a.test", "x509: certificate signed by unknown authority")
	write(right)
	a.reload()
	a.obtained()
	a.check(t)
	a.stop()
}

// Challenges are answered on listeners without TLS before anything else, and nothing else is there. A domain of nobody's is not
// looked up.
func TestChallengePath(t *testing.T) {
	t.Parallel()
	o := acmetest.Options{TLSPort: reactortest.FreePortNumber(t), HTTPPort: reactortest.FreePortNumber(t)}
	a := startAutomatic(t, o, o.TLSPort, o.HTTPPort)
	at := a.addresses()
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range []struct {
		at, path, host string
		want           int
	}{
		{at[2], "/.well-known/acme-challenge/x", "a.test", 404},
		{at[3], "/.well-known/acme-challenge/x", "a.test", 404},
		{at[3], "/.well-known/acme-challenge/x", "nobody.test", 404},
		{at[2], "/.well-known/other", "a.test", 308},
		{at[3], "/", "a.test", 200},
	} {
		r, err := http.NewRequest("GET", "http://"+tt.at+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s of %s: %d, want %d", tt.path, tt.host, resp.StatusCode, tt.want)
		}
	}
	a.stop()
}

// --check looks at the options and the storage, and asks no authority.
func TestACMECheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := acmeRoot(t, dir)
	args := []string{"--check", "testdata/acme.lua", dir + "/new", "https://127.0.0.1:1/", root, "0", "0"}
	stdout, _ := runToEnd(t, exitOK, args...)
	if !strings.Contains(stdout, "TLS, certificates by ACME for a.test, b.test") {
		t.Errorf("%s", stdout)
	}
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("a directory was made")
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	args[2] = dir
	if _, stderr := runToEnd(t, exitStart, args...); !strings.Contains(stderr, "others may write in") {
		t.Errorf("%s", stderr)
	}
}

func acmeRoot(t *testing.T, dir string) string {
	certificateFiles(t, dir, "root", "localhost")
	return dir + "/root.pem"
}
