package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const connectionLimited = `@
local http = require "moonbridge_http"
local dir = %q
listen{
	port,
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" } },
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true },
	{ proto = "local", path = dir .. "/socket" },
	connection_limit = { rate = %s, burst = 3 }, trusted_proxies = { "127.0.0.9", "192.0.2.9" },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(request.client_ip or "-")
	end),
}`

// askFrom sends text from an address on a new connection, and returns what comes. The connection was reset if that is nothing.
func askFrom(t testing.TB, from, address, text string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", address)
	if errors.Is(err, syscall.ECONNRESET) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	var b []byte
	if _, err = io.WriteString(c, text); err == nil {
		b, err = io.ReadAll(c)
	}
	if (err == nil) != (len(b) > 0) || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", b, err)
	}
	return string(b)
}

// Connections beyond the rate are reset, also after a reload. All listeners of the pool count together.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	a.write(connectionLimited, dir, "0.001")
	s := start(t, "--admin", loopbackPort, "--stats", a.script)
	at := s.addresses()
	asks := func(from string, served bool) {
		t.Helper()
		if got := askFrom(t, from, at[0], askEnds); strings.HasPrefix(got, "HTTP/1.1 200") != served {
			t.Errorf("%s: %q", from, got)
		}
	}
	for i := range 5 {
		asks("127.0.0.2", i < 3)
	}
	for range 5 {
		asks("127.0.0.9", true) // a trusted proxy
		if got := statusAt(t, filepath.Join(dir, "socket")); got != 200 {
			t.Errorf("Unix socket: %d", got)
		}
	}
	s.wait(`msg="connections refused"`, "cause=connection_limit", "client=127.0.0.2:")

	// With TLS there is no handshake.
	_, config := tlsClient("a.test", trusted)
	for i := range 5 {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.3")}, Timeout: patience}
		c, err := tls.DialWithDialer(d, "tcp", at[1], config)
		if (err == nil) != (i < 3) {
			t.Errorf("handshake %d: %v", i, err)
		}
		if err == nil {
			c.Close()
		}
	}
	asks("127.0.0.3", false)

	// Behind a proxy, the address of the header counts.
	for _, c := range []struct {
		header string
		served int
	}{{proxyLine, 3}, {strings.Replace(proxyLine, "192.0.2.1", "192.0.2.9", 1), 5}, {"PROXY UNKNOWN\r\n", 5}} {
		for i := range 5 {
			got := askFrom(t, "127.0.0.4", at[2], c.header+askEnds)
			if strings.HasPrefix(got, "HTTP/1.1 200") != (i < c.served) {
				t.Errorf("%q, connection %d: %q", c.header, i, got)
			}
		}
	}
	eventually(t, "they are counted", func() bool {
		sum := 0.0
		for name, n := range s.figures() {
			if strings.HasPrefix(name, "moonbridge_connections_limited_total{") {
				sum += n
			}
		}
		return sum == 2+2+1+2
	})

	s.reload()
	asks("127.0.0.2", false)
	a.write(connectionLimited, dir, "0.002")
	s.reload()
	asks("127.0.0.2", true)
	s.stop()
	if line := s.wait("msg=connections"); field(line, "limited") != "8" {
		t.Error(line)
	}
}
