package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// certificateFiles writes the files name.pem and name-key.pem: a new certificate that signs itself, for a host.
func certificateFiles(t testing.TB, dir, name, host string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: serialNumber(), Subject: pkix.Name{CommonName: name}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if host == "localhost" {
		about.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	cert, err := signed(about, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, name + "-key.pem": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert.Leaf
}

// addresses returns the addresses of all listeners, as logged.
func (s *instance) addresses() (all []string) {
	for _, m := range regexp.MustCompile(`msg=listening pool=.*address=[a-z]+://([^\s/]+)`).FindAllStringSubmatch(s.log.String(), -1) {
		all = append(all, m[1])
	}
	return all
}

// tlsClient is a client that trusts a certificate, asks for a host, and makes a connection for each request.
func tlsClient(host string, trusted *x509.Certificate) (*http.Client, *tls.Config) {
	config := &tls.Config{ServerName: host, RootCAs: x509.NewCertPool(), NextProtos: []string{"http/1.1"}}
	config.RootCAs.AddCert(trusted)
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}, config
}

// says returns the body of a response.
func says(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func wantsToHear(t *testing.T, c *http.Client, url, want string) {
	t.Helper()
	if got, err := says(c, url); err != nil || got != want {
		t.Errorf("%s: %q, %v; want %q", url, got, err, want)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := certificateFiles(t, dir, "a", "a.test"), certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()
	const with13 = "https version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 "
	const noClient = " client_fingerprint=nil client_subject=nil"

	client, _ := tlsClient("a.test", a)
	wantsToHear(t, client, "https://"+at[0]+"/", with13+"server_name=a.test alpn=http/1.1"+noClient)
	client, config := tlsClient("b.test", b)
	config.MaxVersion = tls.VersionTLS12
	wantsToHear(t, client, "https://"+at[0]+"/",
		"https version=TLSv1.2 cipher=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 server_name=b.test alpn=http/1.1"+noClient)
	wantsToHear(t, client, "http://"+at[1]+"/", "http none")

	client, config = tlsClient("a.test", a)
	pair, err := tls.LoadX509KeyPair(dir+"/a.pem", dir+"/a-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	wantsToHear(t, client, "https://"+at[2]+"/", with13+"server_name=a.test alpn=http/1.1"+noClient)
	wantsToHear(t, client, "https://"+at[5]+"/", with13+"server_name=a.test alpn=nil"+noClient) // HTTP on a raw connection
	config.Certificates = []tls.Certificate{pair}
	sum := sha256.Sum256(a.Raw)
	wantsToHear(t, client, "https://"+at[2]+"/",
		with13+"server_name=a.test alpn=http/1.1 client_fingerprint="+hex.EncodeToString(sum[:])+" client_subject=CN=a")
	wantsToHear(t, client, "https://"+at[5]+"/",
		with13+"server_name=a.test alpn=nil client_fingerprint="+hex.EncodeToString(sum[:])+" client_subject=CN=a")
	other, err := tls.LoadX509KeyPair(dir+"/b.pem", dir+"/b-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = nil
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other, nil }
	if got, err := says(client, "https://"+at[2]+"/"); err == nil {
		t.Errorf("with a certificate of nobody's: %q", got)
	}
	s.stop()
}

func TestRedirectHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()[3]
	for _, tt := range []struct{ target, host, want string }{
		{"/a/b?c=d", "a.test", "https://a.test:8443/a/b?c=d"},
		{"/", "a.test:80", "https://a.test:8443/"},
		{"/", "[::1]:80", "https://[::1]:8443/"},
		{"http://b.test/x", "a.test", "https://b.test:8443/x"},
	} {
		p := dial(t, at)
		p.say("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\n\r\nx", tt.target, tt.host)
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Location"); resp.StatusCode != 308 || got != tt.want {
			t.Errorf("%s at %s: %d %q, want %q", tt.target, tt.host, resp.StatusCode, got, tt.want)
		}
	}
	s.stop()
}

// A handler of raw connections reads and writes what was encrypted on the way.
func TestTLSRaw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	_, config := tlsClient("a.test", a)
	c, err := tls.Dial("tcp", s.addresses()[4], config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	for i := range 5 {
		fmt.Fprintf(c, "line %d\n", i)
		if got, err := r.ReadString('\n'); err != nil || got != fmt.Sprintf("heard line %d\n", i) {
			t.Errorf("%q, %v", got, err)
		}
	}
	c.CloseWrite()
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	s.stop()
}

// What request.tls says of requests, socket.tls says of raw connections, and of the sockets of requests.
func TestSocketTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()
	pair, err := tls.LoadX509KeyPair(dir+"/a.pem", dir+"/a-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(a.Raw)
	for _, c := range []struct {
		certificates []tls.Certificate
		most         uint16
		want         string
	}{
		{nil, tls.VersionTLS13, "version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 server_name=a.test alpn=nil client_fingerprint=nil client_subject=nil"},
		{[]tls.Certificate{pair}, tls.VersionTLS12, "version=TLSv1.2 cipher=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 server_name=a.test alpn=nil client_fingerprint=" +
			hex.EncodeToString(sum[:]) + " client_subject=CN=a"},
	} {
		_, config := tlsClient("a.test", a)
		config.Certificates, config.MaxVersion, config.NextProtos = c.certificates, c.most, nil
		for say, want := range map[string]string{"raw\n": c.want + "\n", "HTTP\nGET / HTTP/1.0\r\n\r\n": "https " + c.want} {
			conn, err := tls.Dial("tcp", at[7], config)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			io.WriteString(conn, say)
			if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
			conn.Close()
		}
	}
	p := dial(t, at[8])
	if got, err := io.ReadAll(p.r); err != nil || string(got) != "none\n" {
		t.Errorf("without TLS: %q, %v", got, err)
	}
	s.stop()
}

// Certificates are changed again and again under load. No handshake and no request fails, and connections stay open.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	times := 100
	if testing.Short() {
		times = 5
	}
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()[0]
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"} // the test compares certificates
	var stop atomic.Bool
	ended := make(chan int)
	for range 2 {
		go func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config.Clone(), DisableKeepAlives: true}}
			n := 0
			defer func() { ended <- n }()
			for ; !stop.Load() && !t.Failed(); n++ {
				if got, err := says(client, "https://"+at+"/"); err != nil || !strings.HasPrefix(got, "https ") {
					t.Errorf("request %d: %q, %v", n, got, err)
				}
			}
		}()
	}
	stays, err := tls.Dial("tcp", at, config)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	p := &peer{t: t, Conn: stays, r: bufio.NewReader(stays)}
	for range times {
		want := certificateFiles(t, dir, "a", "a.test")
		s.reload()
		c, err := tls.Dial("tcp", at, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(want) {
			t.Errorf("certificate %v after the reload, want %v", got.SerialNumber, want.SerialNumber)
		}
		c.Close()
		stays.SetDeadline(time.Now().Add(patience))
		p.get("/")
		p.hears(200)
	}
	stop.Store(true)
	for range 2 {
		if n := <-ended; n == 0 {
			t.Error("no requests")
		}
	}
	s.stop()
}

// A certificate that cannot be used does not replace the one in use. When the server starts it is an error.
func TestBrokenCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	b := certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()[0]
	if err := os.WriteFile(dir+"/a.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := s.reload(); !strings.Contains(line, "msg=reloaded") {
		t.Error(line)
	}
	s.wait("level=ERROR", "certificate not read again: the one in use stays in use", "a.pem", "private key does not match")
	client, _ := tlsClient("a.test", a)
	if _, err := says(client, "https://"+at+"/"); err != nil {
		t.Error(err)
	}
	_, stderr := runToEnd(t, exitStart, "testdata/tls.lua", dir)
	if !strings.Contains(stderr, "private key does not match") {
		t.Errorf("%s", stderr)
	}
	_, stderr = runToEnd(t, exitStart, "--check", "testdata/tls.lua", dir)
	if !strings.Contains(stderr, "private key does not match") {
		t.Errorf("--check: %s", stderr)
	}
	s.stop()
}

// Sessions are resumed after a reload, and in a process that has taken over.
func TestTicketsStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()[0]
	client, config := tlsClient("a.test", a)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	resumed := func() bool {
		resp, err := client.Get("https://" + at + "/")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.TLS.DidResume
	}
	if resumed() || !resumed() {
		t.Error("sessions are not resumed")
	}
	s.reload()
	if !resumed() {
		t.Error("not resumed after a reload")
	}
	s.signal(syscall.SIGUSR2)
	line := s.wait("msg=\"handed over\"")
	eventually(t, "the old process ends", func() bool { return gone(s.pid()) })
	if !resumed() {
		t.Error("not resumed by the process that has taken over")
	}
	s.endOf(number(t, field(line, "pid")))
}

// The certificate for development is signed by an authority that later runs use, too, and that can sign nothing else.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	environment := []string{"XDG_CONFIG_HOME=" + home, "HOME=" + home}
	var authority *x509.Certificate
	for range 2 {
		s := launchWith(t, os.Args[0], nil, environment, "--tls-self-signed", "testdata/hello.lua")
		s.wait("msg=ready")
		line := s.wait("certificate for development")
		file := field(line, "authority")
		if !strings.Contains(line, "curl --cacert "+file+", or import the file") {
			t.Errorf("the log does not tell how to trust it: %s", line)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if authority != nil && !cert.Equal(authority) {
			t.Error("the second run has made another authority")
		}
		authority = cert
		for _, name := range []string{"localhost", "app.localhost", "127.0.0.1"} {
			client, _ := tlsClient(name, authority)
			if _, err := says(client, "https://"+s.addresses()[0]+"/"); err != nil {
				t.Error(err)
			}
		}
		s.stop()
		info, err := os.Stat(filepath.Join(filepath.Dir(file), authorityKeyFile))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("the key of the authority: %v, %v", info, err)
		}
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a, err := localAuthority(authorityIn(t, home))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := signed(about, key, a)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err := forged.Leaf.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("the authority can sign for a host on the internet")
	}
}

// authorityIn is the directory below home that has the authority.
func authorityIn(t *testing.T, home string) (dir string) {
	t.Helper()
	filepath.WalkDir(home, func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == authorityFile {
			dir = filepath.Dir(path)
		}
		return nil
	})
	if dir == "" {
		t.Fatal("there is no authority")
	}
	return dir
}

// What cannot be used as tls says what is wrong with it.
func TestTLSMistakes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`true`:                                    "tls: table expected, got boolean",
		`{}`:                                      "tls is an empty table",
		`{ cert = "x" }`:                          "needs both cert and key",
		`{ certificate = "x", key = "y" }`:        `unknown option "certificate"`,
		`{ cert = 1, key = "y" }`:                 "tls: cert: string expected",
		`{ cert = "x", key = "y", "z" }`:          "tls has an unexpected entry [1]",
		`{ cert = "missing.pem", key = "y" }`:     "open missing.pem: no such file",
		`{ client_ca = "x" }`:                     "cert and key are missing",
		`{ { cert = "x", key = "y", ca = "z" } }`: `unknown option "ca"`,

		`{ acme = true }`:                   "tls: acme: table expected, got boolean",
		`{ acme = {} }`:                     "tls: acme: domains is missing",
		`{ acme = { domains = "a.test" } }`: "tls: acme: storage is missing",
		`{ acme = { domains = { "*.a.test" }, storage = "x" } }`:                "certificates for wildcards cannot be obtained",
		`{ acme = { domains = { "192.0.2.1" }, storage = "x" } }`:               "is not the name of a host",
		`{ acme = { domains = { "a..test" }, storage = "x" } }`:                 "is not the name of a host",
		`{ acme = { domains = { "a.test", "A.test" }, storage = "x" } }`:        "is given twice",
		`{ acme = { domains = { {} }, storage = "x" } }`:                        "domains: string or list of strings expected, got",
		`{ acme = { domains = "a.test", storage = "x", ca = "http://a" } }`:     "is not a URL that begins with https://",
		`{ acme = { domains = "a.test", storage = "x", ca_root = "missing" } }`: "ca_root: open",
		`{ acme = { domains = "a.test", storage = "x", email = "a b" } }`:       "is not an address of electronic mail",
		`{ acme = { domains = "a.test", storage = "x", cert = "y" } }`:          `unknown option "cert"`,
		`{ acme = { "a.test" } }`:                                               "acme has an unexpected entry [1]",
		`{ { acme = { domains = "a.test", storage = "x" } } }`:                  `tls: unknown option "acme"`,
		`{ hsts = 60 }`: "cert and key are missing, or acme",
		`{ acme = { domains = "a.test", storage = "x" }, hsts = true }`:                             "hsts: number (of seconds) or table expected",
		`{ acme = { domains = "a.test", storage = "x" }, hsts = {} }`:                               "hsts: max_age is missing",
		`{ acme = { domains = "a.test", storage = "x" }, hsts = { preload = 1 } }`:                  "hsts: preload: boolean expected",
		`{ acme = { domains = "a.test", storage = "x" }, hsts = { max_age = 60, preload = true } }`: "preload needs include_subdomains",
		`{ acme = { domains = "a.test", storage = "x" }, alt_svc = "h3" }`:                          "is not a value of Alt-Svc",
		`{ acme = { domains = "a.test", storage = "x" }, alt_svc = "h3=\":443\"\r\nx: y" }`:         "is not a value of Alt-Svc",
	} {
		a := newApplication(t)
		a.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = ` + value + ` }, connect = say("x") }`)
		_, stderr := runToEnd(t, exitStart, a.script)
		if !strings.Contains(stderr, want) {
			t.Errorf("tls = %s: %s", value, stderr)
		}
	}
}
