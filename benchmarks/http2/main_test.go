package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
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
		var out bytes.Buffer
		c := &client{Framer: http2.NewFramer(&out, nil), request: []byte{0x82}, bomb: []byte{0x82}}
		c.AllowIllegalWrites = true
		a.step(c, 0)
		a.step(c, 1)
		if out.Len() == 0 || names[a.name] {
			t.Errorf("%s: %d bytes", a.name, out.Len())
		}
		names[a.name] = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := attacks()[0].run(ctx, "127.0.0.1:1", 1); n != 0 {
		t.Errorf("%d connections after the end", n)
	}
}

// The sink takes what attackers send, and does not answer.
func TestSink(t *testing.T) {
	var s servers.Settings
	s.Temp = t.TempDir()
	if err := s.Check(nil); err != nil {
		t.Fatal(err)
	}
	ln, err := serveSink(s.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
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
