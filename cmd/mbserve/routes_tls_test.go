package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
	"moonbridge/reactor/reactortest"
)

// said returns the status and the body of a response.
func said(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// Requests are passed on over TLS to targets whose certificate is right, and to no others.
func TestRoutesTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "localhost")
	pair, err := tls.LoadX509KeyPair(dir+"/a.pem", dir+"/a-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	var resumed, checks atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			checks.Add(1)
			return
		}
		if r.TLS != nil && r.TLS.DidResume {
			resumed.Add(1)
		}
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s %s %v %d %v", r.Host, r.RequestURI, r.TLS != nil, n, err)
	})
	secure := httptest.NewUnstartedServer(handler)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(handler)
	defer plain.Close()
	url := fmt.Sprintf("https://localhost:%s", secure.URL[strings.LastIndex(secure.URL, ":")+1:])
	s := start(t, "testdata/routes_tls.lua", url, dir+"/a.pem", plain.URL, dir+"/a-key.pem")
	host := strings.TrimPrefix(url, "https://")
	for range 2 {
		for path, want := range map[string]string{
			"/secure/x?y":         "200 " + host + " /secure/x?y true 0 <nil>",
			"/stripped/a/b?c=%2F": "200 " + s.address(0) + " /a/b?c=%2F true 0 <nil>",
			"/stripped/":          "200 " + s.address(0) + " / true 0 <nil>",
			"/strippe%64/a":       "404 Not Found\n",
			"/named/":             "200 " + s.address(0) + " /named/ true 0 <nil>",
			"/other/":             "502 Bad Gateway\n",
			"/unknown/":           "502 Bad Gateway\n",
			"/clear/":             "502 Bad Gateway\n",
			"/weighted/":          "200 " + s.address(0) + " /weighted/ false 0 <nil>",
		} {
			status, body := said(t, s.url(path))
			if got := fmt.Sprint(status, " ", body); strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	}
	if resumed.Load() == 0 {
		t.Error("no session was resumed")
	}
	s.wait("requests not answered by their target", `cause="no TLS connection to the target"`, "TLS handshake: ")
	// Uploads of clients without TLS, with it, and with HTTP/2.
	const size = 3 << 20
	one, config := tlsClient("localhost", trusted)
	two := &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{ServerName: "localhost", RootCAs: config.RootCAs}, ForceAttemptHTTP2: true,
	}}
	for _, c := range []struct {
		client *http.Client
		base   string
		major  int
	}{{http.DefaultClient, s.url(""), 1}, {one, "https://" + s.addresses()[1], 1}, {two, "https://" + s.addresses()[1], 2}} {
		resp, err := c.client.Post(c.base+"/secure/upload", "", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprintf("%s /secure/upload true %d <nil>", host, size); string(body) != want || resp.ProtoMajor != c.major {
			t.Errorf("%s %q, want %q", resp.Proto, body, want)
		}
	}
	two.CloseIdleConnections()
	eventually(t, "health checks", func() bool { return checks.Load() > 0 })
	s.stop()
}

// A reload ends the health checks of the targets that it replaces.
func TestRoutesEndChecks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	set, err := new(generation).targetsOf(ctx, &listen.Route{Path: "/", Targets: []string{"127.0.0.1:1"}, Check: "/health"})
	if err != nil || set.Closed() {
		t.Fatal(set, err)
	}
	g := &generation{endRoutes: cancel}
	g.closeRoutes()
	eventually(t, "the service is closed", set.Closed)
}

// HAProxy takes the header of the PROXY protocol, in the clear and before TLS, and has the client's address from it.
func TestRoutesProxyProtocol(t *testing.T) {
	t.Parallel()
	haproxy := needs(t, "haproxy")
	dir, secure, plain := t.TempDir(), fmt.Sprint(reactortest.FreePortNumber(t)), fmt.Sprint(reactortest.FreePortNumber(t))
	bothFiles(t, dir)
	config := strings.NewReplacer("SECURE", secure, "PLAIN", plain, "DIR", dir).Replace(`defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
frontend f
	bind 127.0.0.1:SECURE accept-proxy ssl crt DIR/both.pem
	bind 127.0.0.1:PLAIN accept-proxy
	http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst_port] %[ssl_fc]"
`)
	if err := os.WriteFile(dir+"/config", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	startPeer(t, plain, haproxy, "-f", dir+"/config", "-db")
	s := start(t, "testdata/routes_tls.lua", "https://localhost:"+secure, dir+"/a.pem", "http://127.0.0.1:"+plain)
	for path, want := range map[string]string{"/proxied/": "1", "/proxied1/": "0"} {
		for range 2 {
			c := dial(t, s.address(0))
			c.say("GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path)
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_, port, _ := net.SplitHostPort(s.address(0))
			if got := string(body); got != fmt.Sprintf("%s %s %s", c.LocalAddr(), port, want) {
				t.Errorf("%s: %d %q, want %s %s %s", path, resp.StatusCode, got, c.LocalAddr(), port, want)
			}
		}
	}
	s.stop()
}

// bothFiles makes a.pem, a-key.pem, and both.pem, which has both.
func bothFiles(t *testing.T, dir string) {
	t.Helper()
	certificateFiles(t, dir, "a", "localhost")
	var both []byte
	for _, name := range []string{"a.pem", "a-key.pem"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	if err := os.WriteFile(dir+"/both.pem", both, 0o600); err != nil {
		t.Fatal(err)
	}
}

// startPeer starts a program of others, which is stopped at the end of the test, and waits until it listens on a port.
func startPeer(t *testing.T, port, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, program+" listens", func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// --check lists the routes, and reads the certificates of authorities.
func TestRoutesCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "localhost")
	stdout, _ := runToEnd(t, exitOK, "--check", "testdata/routes_tls.lua", "https://localhost", dir+"/a.pem", "http://127.0.0.1:9000")
	for _, want := range []string{
		"route /secure/ → https://localhost:443", "route /weighted/ → http://127.0.0.1:9000 http://127.0.0.1:1, checked by /health",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	_, stderr := runToEnd(t, exitStart, "--check", "testdata/routes_tls.lua", "https://localhost", dir+"/none.pem", "http://127.0.0.1:9000")
	if !strings.Contains(stderr, `routes: "/named/": ca: open`) {
		t.Errorf("%s", stderr)
	}
}

// Other servers take our TLS: OpenSSL, nginx and HAProxy.
func TestRoutesToPeers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config, args, want string
	}{
		"openssl": {"", "s_server -accept 127.0.0.1:PORT -cert DIR/a.pem -key DIR/a-key.pem -www", "Secure Renegotiation"},
		"nginx": {`daemon off; master_process off; pid DIR/pid; error_log stderr; events { }
http { access_log off; client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
	server { listen 127.0.0.1:PORT ssl; ssl_certificate DIR/a.pem; ssl_certificate_key DIR/a-key.pem;
		location / { return 200 "nginx $ssl_protocol $http_host"; } } }`, "-p DIR -e DIR/err -c CONFIG", "nginx TLSv1."},
		"haproxy": {`defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
frontend f
	bind 127.0.0.1:PORT ssl crt DIR/both.pem
	http-request return status 200 content-type text/plain lf-string "haproxy %[ssl_fc_protocol]"
`, "-f CONFIG -db", "haproxy TLSv1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := needs(t, name)
			own, port := t.TempDir(), fmt.Sprint(reactortest.FreePortNumber(t))
			bothFiles(t, own)
			fill := strings.NewReplacer("PORT", port, "DIR", own, "CONFIG", own+"/config")
			if err := os.WriteFile(own+"/config", []byte(fill.Replace(tt.config)), 0o600); err != nil {
				t.Fatal(err)
			}
			startPeer(t, port, program, strings.Fields(fill.Replace(tt.args))...)
			s := start(t, "testdata/routes_tls.lua", "https://localhost:"+port, own+"/a.pem", "http://127.0.0.1:2")
			for range 3 {
				if status, body := said(t, s.url("/secure/")); status != 200 || !strings.Contains(body, tt.want) {
					t.Errorf("%d %s", status, body)
				}
			}
			s.stop()
		})
	}
}
