package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	proxyLine = "PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
	proxyEnds = "192.0.2.1 1234 -> 198.51.100.2 443"
	askEnds   = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
)

// exchange sends text on a new connection and returns what comes until it ends, and the addresses of the connection as the
// script writes them.
func exchange(t *testing.T, network, address, text string) (got, ends string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c) // an error is a reset
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		r := c.RemoteAddr().(*net.TCPAddr)
		ends = fmt.Sprintf("%v %d -> %v %d", a.IP, a.Port, r.IP, r.Port)
	}
	return string(b), ends
}

// All kinds of handlers get the addresses of the header; without addresses in it, those of the connection. A connection without
// a header is reset, and the log says so.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "access.log"), filepath.Join(dir, "socket")
	s := start(t, "--access-log", file, "--access-format", "json", "testdata/proxied.lua", "true", socket)
	lines := 0
	for n, network := range []string{"tcp", "tcp", "tcp", "unix"} {
		address := socket
		if network == "tcp" {
			address = s.tcp(n)
		}
		for _, header := range []string{proxyLine, "PROXY UNKNOWN\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
			got, want := exchange(t, network, address, header+askEnds)
			if header == proxyLine {
				want = proxyEnds
			} else if network == "unix" {
				want = "- nil -> - nil"
			}
			if !strings.Contains(got, want) {
				t.Errorf("listener %d, %.20q: got %q, want %q", n, header, got, want)
			}
			if n == 2 {
				continue // no HTTP
			}
			lines++
			e := parseEntry(t, fileLines(t, file, lines)[lines-1])
			wantClient := "127.0.0.1"
			if header == proxyLine {
				wantClient = "192.0.2.1"
			} else if network == "unix" {
				wantClient = "-"
			}
			if e.Client != wantClient {
				t.Errorf("listener %d, %.20q: client %q in the access log, want %q", n, header, e.Client, wantClient)
			}
		}
		if got, _ := exchange(t, network, address, askEnds); got != "" {
			t.Errorf("listener %d answers without a header: %q", n, got)
		}
		s.wait(`msg="connections refused"`, `cause="no PROXY protocol header"`)
	}
}

// A reload may turn the header on and off for an open address. Connections that are open stay as they are.
func TestProxyProtocolReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := newApplication(t)
	write := func(on bool) {
		app.write(`local http = require "moonbridge_http"
			listen{ { proto = "local", path = %q, proxy_protocol = %v }, connect = http.generate_handler(function(request)
				request:send_status("200 OK")
				request:send_data(tostring(request.socket.remote_tcpport))
			end) }`, filepath.Join(dir, "socket"), on)
	}
	write(false)
	s := start(t, app.script)
	keep, err := net.Dial("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	r := bufio.NewReader(keep)
	ask := func() string {
		t.Helper()
		io.WriteString(keep, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				b := make([]byte, 3)
				io.ReadFull(r, b)
				return string(b)
			}
		}
	}
	if got := ask(); got != "nil" {
		t.Errorf("%q", got)
	}
	for i, on := range []bool{true, false} {
		write(on)
		s.reload()
		header, want := "", "nil"
		if on {
			header, want = proxyLine, "1234"
		}
		if got, _ := exchange(t, "unix", filepath.Join(dir, "socket"), header+askEnds); !strings.HasSuffix(got, want) {
			t.Errorf("after reload %d: %q", i+1, got)
		}
		if got := ask(); got != "nil" {
			t.Errorf("the old connection after reload %d: %q", i+1, got)
		}
	}
}

// Behind HAProxy and nginx, scripts see the client. HAProxy's health checks send LOCAL, or a header of their own.
func TestProxyProtocolOfHAProxy(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	s := start(t, "testdata/proxied.lua", "true", socket)
	for _, mode := range []string{"tcp", "http"} {
		for _, send := range []string{"send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2 proxy-v2-options unique-id,crc32c",
			"send-proxy-v2 check inter 100ms", "send-proxy check check-send-proxy inter 100ms"} {
			for _, to := range []string{s.tcp(0), s.tcp(1), "unix@" + socket} {
				got, want := exchange(t, "tcp", haproxy(t, mode, to+" "+send), askEnds)
				if !strings.Contains(got, want) {
					t.Errorf("mode %s, %s %s: got %q, want %q", mode, to, send, got, want)
				}
			}
		}
	}
	if n := s.count("connections refused"); n != 0 {
		t.Errorf("%d lines about refused connections", n)
	}
}

func TestProxyProtocolOfNginx(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/proxied.lua", "true", filepath.Join(t.TempDir(), "socket"))
	for n := range 3 {
		got, want := exchange(t, "tcp", nginxStream(t, "proxy_pass "+s.tcp(n)+"; proxy_protocol on;"), askEnds)
		if !strings.Contains(got, want) {
			t.Errorf("listener %d: got %q, want %q", n, got, want)
		}
	}
}
