package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const openLimited = `@
local http = require "moonbridge_http"
local dir = %q
listen{
	port,
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" } },
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true },
	{ proto = "local", path = dir .. "/socket" },
	connection_limit = { open = %d }, trusted_proxies = { "127.0.0.9", "192.0.2.9" },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("hello")
	end),
}
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connection_limit = { open = 1 },
	connect = function(socket)
		socket:write("worker\n")
		socket:flush()
		if socket:read("*l") == "die" then os.exit(1) end
	end,
}
`

// An address has so many connections open, on all listeners of a pool together, and over a reload. Each that ends makes room.
func TestConnectionLimitOpen(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	authority := certificateFiles(t, dir, "a", "a.test")
	a.write(openLimited, dir, 2)
	s := start(t, "--stats", a.script)
	at := s.addresses()
	_, config := tlsClient("a.test", authority)
	holds := func(c net.Conn, text string) net.Conn {
		t.Helper()
		p := &peer{t, c, bufio.NewReader(c)}
		p.say("%sGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", text)
		p.hears(200)
		return c
	}
	asks := func(from, address, text string) bool {
		t.Helper()
		return strings.HasPrefix(askFrom(t, from, address, text+askEnds), "HTTP/1.1 200")
	}
	refuses := func(from, address, text string) {
		t.Helper()
		if asks(from, address, text) {
			t.Errorf("%s is served at %s", from, address)
		}
	}
	serves := func(from, address, text string) {
		t.Helper()
		eventually(t, "there is room", func() bool { return asks(from, address, text) }) // when the last one has closed
	}
	first := holds(connectFrom(t, "127.0.0.2", at[0]), "")
	second := holds(tls.Client(connectFrom(t, "127.0.0.2", at[1]), config), "")
	refuses("127.0.0.2", at[0], "")
	s.wait(`msg="connections refused"`, `cause="connection_limit: open"`, "client=127.0.0.2:")
	for range 3 {
		holds(connectFrom(t, "127.0.0.9", at[0]), "") // a trusted proxy
		if got := statusAt(t, filepath.Join(dir, "socket")); got != 200 {
			t.Errorf("Unix socket: %d", got)
		}
	}
	serves("127.0.0.3", at[0], "")
	first.Close()
	serves("127.0.0.2", at[0], "")

	// Behind a proxy, the address of the header counts. Connections that it makes for itself do not.
	trusted := strings.Replace(proxyLine, "192.0.2.1", "192.0.2.9", 1)
	for range 3 {
		holds(connectFrom(t, "127.0.0.4", at[2]), trusted)
		holds(connectFrom(t, "127.0.0.4", at[2]), "PROXY UNKNOWN\r\n")
	}
	holds(connectFrom(t, "127.0.0.4", at[2]), proxyLine)
	last := holds(connectFrom(t, "127.0.0.4", at[2]), proxyLine)
	refuses("127.0.0.4", at[2], proxyLine)
	last.Close()
	serves("127.0.0.4", at[2], proxyLine)

	// A worker has the socket: when its handler ends, and when it dies.
	for _, word := range []string{"end\n", "die\n"} {
		var c net.Conn
		eventually(t, "a worker has it", func() bool {
			var err error
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
			if c, err = d.Dial("tcp", at[3]); err != nil {
				return false
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			return err == nil && line == "worker\n"
		})
		if got := askFrom(t, "127.0.0.2", at[3], ""); got != "" {
			t.Errorf("a second connection: %q", got)
		}
		io.WriteString(c, word)
		io.Copy(io.Discard, c)
		c.Close()
	}

	// Open connections stay counted over a reload, with another limit.
	a.write(openLimited, dir, 3)
	s.reload()
	third := holds(connectFrom(t, "127.0.0.2", at[0]), "")
	holds(connectFrom(t, "127.0.0.2", at[0]), "")
	refuses("127.0.0.2", at[0], "")
	third.Close()
	second.Close()
	serves("127.0.0.2", at[0], "")
	s.signal(syscall.SIGTERM)
	if line := s.wait("msg=connections"); field(line, "limited") == "0" {
		t.Error(line)
	}
}
