package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/servers"

	"golang.org/x/net/http2"
)

// protocol is what clients speak.
type protocol string

const (
	plainHTTP protocol = "HTTP/1.1"
	httpTLS   protocol = "HTTP/1.1 with TLS"
	http2TLS  protocol = "HTTP/2 with TLS"
)

// workload has the same answer for all protocols.
func (p protocol) workload() (servers.Workload, error) {
	if p == plainHTTP {
		return servers.FindWorkload("hello")
	}
	return servers.HTTP2(), nil
}

// client is a connection and what sends requests over it.
type client struct {
	net.Conn              // the one of TCP
	ask      func() error // sends a request and reads the answer
	end      func()
}

// dial opens a connection to a server, with its handshake.
func (p protocol) dial(ctx context.Context, from net.IP, w servers.Workload, address string) (client, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return client{}, err
	}
	if p == plainHTTP {
		return http1(conn, conn, w.Request(address)), nil
	}
	config := &tls.Config{InsecureSkipVerify: true}
	if p == http2TLS {
		config.NextProtos = []string{"h2"}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return client{}, err
	}
	if p == httpTLS {
		return http1(conn, secure, w.Request(address)), nil
	}
	return http2Over(conn, secure, w.URL(address, w.Path()))
}

func http1(conn, over net.Conn, request []byte) client {
	c := probe.NewClient(over, requestTimeout)
	return client{Conn: conn, end: func() { conn.Close() }, ask: func() error {
		_, err := c.AskOK(request)
		return err
	}}
}

func http2Over(conn net.Conn, secure *tls.Conn, url string) (client, error) {
	if got := secure.ConnectionState().NegotiatedProtocol; got != "h2" {
		conn.Close()
		return client{}, fmt.Errorf("the server has chosen the protocol %q, want h2", got)
	}
	c, err := new(http2.Transport).NewClientConn(secure)
	if err != nil {
		conn.Close()
		return client{}, err
	}
	return client{Conn: conn, end: func() { c.Close() }, ask: func() error { return askHTTP2(c, url) }}, nil
}

func askHTTP2(c *http2.ClientConn, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	res, err := c.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %q", res.Status)
	}
	return nil
}
