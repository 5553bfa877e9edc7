package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const floodPenalty = `@
local http = require "moonbridge_http"
local dir = %q
local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data("hello")
end)
listen{
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" } },
	connect = handler,
}
listen{ { proto = "tcp4", port = 0, localhost = true, http2 = "h2c" }, flood_penalty = false, connect = handler }
listen{ { proto = "tcp4", port = 0, localhost = true, http2 = "h2c" }, trusted_proxies = { "127.0.0.3" }, connect = handler }
`

// connectFrom connects from an address.
func connectFrom(t testing.TB, from, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// bomb sends an HPACK bomb, and waits until the server has ended the connection.
func bomb(c net.Conn) {
	defer c.Close()
	var fields, out bytes.Buffer
	e := hpack.NewEncoder(&fields)
	for _, f := range []string{":method GET", ":scheme https", ":path /", ":authority h", "x " + strings.Repeat("y", 3900)} {
		name, value, _ := strings.Cut(f, " ")
		e.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, nil)
	f.WriteSettings()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndStream: true, EndHeaders: true})
	block := append([]byte{0x82, 0x87, 0x84, 0x80 | 63}, bytes.Repeat([]byte{0x80 | 62}, 200)...)
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndStream: true, EndHeaders: true})
	c.Write(out.Bytes())
	io.Copy(io.Discard, c)
}

// An address whose HPACK bombs have ended its connections may open few others. It keeps those that it has, and others are served.
func TestFloodPenalty(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	authority := certificateFiles(t, dir, "a", "a.test")
	a.write(floodPenalty, dir)
	s := start(t, "--admin", loopbackPort, "--stats", a.script)
	at := s.addresses()
	_, config := tlsClient("a.test", authority)
	h2 := config.Clone()
	h2.NextProtos = []string{"h2"}
	asks := func(c net.Conn) {
		t.Helper()
		p := &peer{t, c, bufio.NewReader(c)}
		p.say("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		p.hears(200)
	}
	kept := tls.Client(connectFrom(t, "127.0.0.2", at[0]), config)
	asks(kept)
	eventually(t, "the address is punished", func() bool { // on a busy machine, the first floods may not follow one another fast enough
		var bombs sync.WaitGroup
		for range 10 { // each has a second to wait for the end of its connection
			c := tls.Client(connectFrom(t, "127.0.0.2", at[0]), h2)
			bombs.Go(func() { bomb(c) })
		}
		bombs.Wait()
		return holds(time.Second, func() bool { return strings.Contains(s.log.String(), `msg="addresses punished for floods"`) })
	})
	s.wait(`msg="addresses punished for floods"`, "client=127.0.0.2")

	// As many as may be opened at once, and more. If this machine is slow, some more may be opened meanwhile.
	resets := func(from, address string) (n int) {
		for range 30 {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
			c, err := d.Dial("tcp", address)
			if err == nil {
				io.WriteString(c, askEnds) // without TLS, what is served gets an answer
				c.SetDeadline(time.Now().Add(patience))
				_, err = c.Read(make([]byte, 1))
				c.Close()
			}
			if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				n++
			}
		}
		return n
	}
	refused := 0
	eventually(t, "connections are refused", func() bool {
		if refused = resets("127.0.0.2", at[0]); refused == 0 {
			bomb(tls.Client(connectFrom(t, "127.0.0.2", at[0]), h2)) // the penalty goes on
		}
		return refused > 0
	})
	s.wait(`msg="connections refused"`, "cause=flood_penalty", "client=127.0.0.2:")
	asks(kept)
	asks(tls.Client(connectFrom(t, "127.0.0.1", at[0]), config))
	figures := s.figures()
	counted := 0
	for name, n := range figures {
		if strings.HasPrefix(name, "moonbridge_connections_penalized_total{") {
			counted += int(n)
		}
	}
	if counted < refused {
		t.Errorf("%d counted, %d refused", counted, refused)
	}
	if figures[`moonbridge_refusals_total{pool="",what="addresses punished for floods",status="",cause=""}`] < 1 {
		t.Error("the penalty is not counted")
	}

	// A pool without penalties, and a proxy.
	var bombs sync.WaitGroup
	for range 12 {
		for from, address := range map[string]string{"127.0.0.4": at[1], "127.0.0.3": at[2]} {
			c := connectFrom(t, from, address)
			bombs.Go(func() { bomb(c) })
		}
	}
	bombs.Wait()
	for from, address := range map[string]string{"127.0.0.2": at[1], "127.0.0.4": at[2], "127.0.0.3": at[2]} {
		if n := resets(from, address); n > 0 {
			t.Errorf("%d of %s are refused", n, from)
		}
	}
	s.stop()
	if line := s.wait("msg=connections"); field(line, "penalized") == "0" || field(line, "limited") != "0" {
		t.Error(line)
	}
}
