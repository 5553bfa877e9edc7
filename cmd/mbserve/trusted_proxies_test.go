package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Requests on connections of the server and of workers have the client that trusted proxies say, in scripts and in the access
// log. What others say is ignored.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		trusted []string
		fields  string
		want    string // "" for the peer of the connection
	}{
		{"trusted", []string{"127.0.0.0/8", "unix"}, "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\n", "203.0.113.5 https"},
		{"invented entry", []string{"127.0.0.0/8", "unix"}, "X-Forwarded-For: 1.1.1.1, 203.0.113.5\r\n", "203.0.113.5 http"},
		{"chain", []string{"127.0.0.1", "10.0.0.0/8", "unix"}, "X-Forwarded-For: 203.0.113.5, 10.1.1.1\r\n", "203.0.113.5 http"},
		{"Forwarded", []string{"::1", "127.0.0.1", "unix"}, "Forwarded: for=\"[2001:db8::5]:80\";proto=https\r\n", "2001:db8::5 https"},
		{"without a field", []string{"127.0.0.1", "unix"}, "", ""},
		{"garbage", []string{"127.0.0.1", "unix"}, "X-Forwarded-For: \xff\"<b>\r\n", ""},
		{"untrusted", []string{"10.0.0.0/8"}, "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.5\r\n", ""},
	} {
		file, socket := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "")+".log"), filepath.Join(dir, "socket")
		s := start(t, append([]string{"--access-log", file, "--access-format", "json", "testdata/proxied.lua", "false", socket}, tt.trusted...)...)
		lines := 0
		for n, network := range []string{"tcp", "tcp", "", "unix"} {
			address := socket
			if network == "tcp" {
				address = s.tcp(n)
			} else if network == "" {
				continue // no HTTP
			}
			want := tt.want
			if want == "" && network == "tcp" {
				want = "127.0.0.1 http"
			} else if want == "" {
				want = "nil http"
			}
			request := "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + tt.fields + "\r\n"
			if got, _ := exchange(t, network, address, request); !strings.HasSuffix(got, "\r\n"+want) {
				t.Errorf("%s, listener %d: got %q, want %q", tt.name, n, got, want)
			}
			lines++
			e := parseEntry(t, fileLines(t, file, lines)[lines-1])
			client, _, _ := strings.Cut(strings.Replace(want, "nil", "-", 1), " ")
			if e.Client != client || tt.want != "" && e.Port != 0 {
				t.Errorf("%s, listener %d: client %q, port %d in the access log, want %q", tt.name, n, e.Client, e.Port, client)
			}
		}
		s.stop()
	}
}

// The header of the PROXY protocol says who the peer is, and that decides whether its fields count.
func TestTrustedProxiesWithProxyProtocol(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	s := start(t, "testdata/proxied.lua", "true", socket, "192.0.2.1")
	request := "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n"
	for n := range 2 {
		for header, want := range map[string]string{proxyLine: "203.0.113.5 http", strings.Replace(proxyLine, "192.0.2.1", "192.0.2.2", 1): "192.0.2.2 http"} {
			if got, _ := exchange(t, "tcp", s.tcp(n), header+request); !strings.HasSuffix(got, "\r\n"+want) {
				t.Errorf("listener %d: got %q, want %q", n, got, want)
			}
		}
	}
}

// HAProxy adds the fields with forwardfor and forwarded, in whatever form it does that.
func TestTrustedProxiesOfHAProxy(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/proxied.lua", "false", filepath.Join(t.TempDir(), "socket"), "127.0.0.1")
	address := haproxy(t, "http", s.tcp(0)+"\n\toption forwardfor\n\thttp-request set-header X-Forwarded-Proto https")
	request := "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: %s\r\n\r\n"
	// The client of HAProxy is on this machine too, so it counts as one more proxy, and its field counts.
	if got, _ := exchange(t, "tcp", address, fmt.Sprintf(request, "203.0.113.5")); !strings.HasSuffix(got, "203.0.113.5 https") {
		t.Errorf("%q", got)
	}
}

// Mistakes in the list are errors of the script.
func TestTrustedProxiesMistakes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"10.0.0.0/8"`:              "option trusted_proxies: table of strings expected, got string",
		`{ "10.0.0.0/8", "proxy" }`: `option trusted_proxies: "proxy" is neither an address`,
		`{ proxy = "10.0.0.1" }`:    "option trusted_proxies: a list of strings expected",
		`{ { "10.0.0.1" } }`:        "option trusted_proxies: string expected, got",
	} {
		_, stderr := runToEnd(t, 3, writeScript(t, `listen{ { proto = "tcp4", port = 0 }, connect = print, trusted_proxies = `+value+` }`))
		if !strings.Contains(stderr, want) {
			t.Errorf("%s: %s, want %q", value, stderr, want)
		}
	}
}
