package examples_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"moonbridge/reactor/reactortest"
)

// startHAProxy starts HAProxy with one listener for HTTP, whose options are given, and returns its address.
func startHAProxy(t *testing.T, bind, server string) string {
	t.Helper()
	need(t, "haproxy")
	address := reactortest.FreePort(t)
	config := write(t, "haproxy.cfg", fmt.Sprintf(`
defaults
	mode http
	option forwardfor
	timeout connect 20s
	timeout client 20s
	timeout server 20s
listen all
	bind %s %s
	server target %s
`, address, bind, server))
	background(t, address, "haproxy", "-db", "-f", config)
	return address
}

// get sends a request from the address from, and returns the body of the response.
func get(t *testing.T, from, address, path string) string {
	t.Helper()
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: a\r\n\r\n", path)
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	_, body, _ := strings.Cut(string(text), "\r\n\r\n")
	return body
}

// HAProxy and nginx get the client's address with the PROXY protocol.
func TestTCPProxy(t *testing.T) {
	python := reactortest.FreePort(t)
	startPython(t, python)
	haproxy := startHAProxy(t, "accept-proxy", python)
	nginx := startNginx(t, `set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
		location / { return 200 "nginx: $remote_addr $request_uri\n"; }`, "proxy_protocol")
	for _, tt := range []struct{ target, want string }{
		{haproxy, `(?si)^python: GET /a HTTP/1\.\d\n.*X-Forwarded-For: 127\.0\.0\.5\n`},
		{nginx, `^nginx: 127\.0\.0\.5 /a\n$`},
	} {
		p := run(t, "tcpproxy", "-address", "127.0.0.1:0", "-targets", tt.target, "-out")
		address := p.wait(`listening at (\S+)`, 1)[0]
		if got := get(t, "127.0.0.5", address, "/a"); !regexp.MustCompile(tt.want).MatchString(got) {
			t.Errorf("got %q, want %s", got, tt.want)
		}
		p.terminate()
		p.exit()
	}
}

// An HAProxy in front says who its client is, and the target learns it.
func TestTCPProxyGetsAddresses(t *testing.T) {
	nginx := startNginx(t, `set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
		location / { return 200 "nginx: $remote_addr\n"; }`, "proxy_protocol")
	p := run(t, "tcpproxy", "-address", "127.0.0.1:0", "-targets", nginx, "-in", "-out")
	address := p.wait(`listening at (\S+)`, 1)[0]
	for _, option := range []string{"send-proxy", "send-proxy-v2"} {
		front := startHAProxy(t, "", address+" "+option)
		if got := get(t, "127.0.0.9", front, "/"); got != "nginx: 127.0.0.9\n" {
			t.Errorf("%s: got %q", option, got)
		}
	}
	// A client without a header gets nothing.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if text, err := io.ReadAll(conn); len(text) > 0 {
		t.Errorf("without a header: %q, %v", text, err)
	}
}

// A target that is down is passed over.
func TestTCPProxyFails(t *testing.T) {
	python := reactortest.FreePort(t)
	startPython(t, python)
	p := run(t, "tcpproxy", "-address", "127.0.0.1:0", "-targets", reactortest.FreePort(t)+","+python)
	address := p.wait(`listening at (\S+)`, 1)[0]
	for range 10 {
		if got := get(t, "127.0.0.1", address, "/b"); !strings.HasPrefix(got, "python: GET /b ") {
			t.Fatalf("got %q", got)
		}
	}
}
