package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/servers"

	"golang.org/x/net/http2"
)

func TestParseLoad(t *testing.T) {
	r, err := parseLoad("spawning thread\nfinished in 2.01s, 1460.50 req/s, 143.00MB/s\n" +
		"requests: 2921 total, 3001 started, 2921 done, 2911 succeeded, 10 failed, 10 errored, 0 timeout\n")
	if err != nil || r != (result{1460.5, 2911, 10}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := parseLoad("nothing"); err == nil {
		t.Error("no error without figures")
	}
}

// Each attack writes frames, and has a name of its own.
func TestAttacks(t *testing.T) {
	names := map[string]bool{}
	for _, a := range attacks() {
		c := &client{request: []byte{0x82}, bomb: []byte{0x82}}
		c.Framer = http2.NewFramer(&c.out, nil)
		c.AllowIllegalWrites = true
		a.step(c, 0)
		a.step(c, 1)
		if c.out.Len() == 0 || names[a.name] {
			t.Errorf("%s: %d bytes", a.name, c.out.Len())
		}
		names[a.name] = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := attacks()[0].run(ctx, target{address: "127.0.0.1:1"}, 1); n != 0 {
		t.Errorf("%d connections after the end", n)
	}
}

// The sink takes what attackers send, and does not answer.
func TestSink(t *testing.T) {
	ln, _ := startSink(t)
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 1<<20)); err != nil || c.ConnectionState().NegotiatedProtocol != "h2" {
		t.Errorf("%v, protocol %q", err, c.ConnectionState().NegotiatedProtocol)
	}
	c.CloseWrite()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// An attacker connects again when it is cut off, and when the life of its connection ends.
func TestReconnects(t *testing.T) {
	ln, s := startSink(t)
	cut := cutOff(t, s)
	for _, to := range []target{{ln.Addr().String(), time.Millisecond}, {address: cut.Addr().String()}} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		a := attacks()[4]
		step, connects := a.step, 0
		a.step = func(c *client, i uint32) {
			if i == 0 {
				if connects++; connects == 3 {
					cancel()
				}
			}
			step(c, i)
		}
		if n := a.run(ctx, to, 100); n != 3 {
			t.Errorf("%v: %d connections", to, n)
		}
	}
}

// startSink starts a sink with a certificate of its own.
func startSink(t *testing.T) (net.Listener, servers.Settings) {
	t.Helper()
	var s servers.Settings
	s.Temp = t.TempDir()
	if err := s.Check(nil); err != nil {
		t.Fatal(err)
	}
	ln, err := serveSink(s.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, s
}

// cutOff ends each connection as soon as something has come.
func cutOff(t *testing.T, s servers.Settings) net.Listener {
	cert, key := s.Certificate()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1))
			conn.Close()
		}
	}()
	return ln
}
