package tcpproxy

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/upstream"
)

// Connections to targets have TLS, and a header of the PROXY protocol before it. Both directions end by themselves.
func TestTLSToTarget(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	header := make(chan string, 1)
	address := target(t, func(c *net.TCPConn) {
		c.SetDeadline(time.Now().Add(patience))
		first := make([]byte, 28) // version 2, for IPv4
		io.ReadFull(c, first)
		_, _, remote, err := proxyproto.Parse(first)
		if err != nil {
			header <- err.Error()
			return
		}
		header <- remote.String()
		s := tls.Server(c, config)
		b, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		s.Write(b)
		s.CloseWrite()
		io.Copy(io.Discard, c)
	})
	r := newRig(t, Config{ProxyOut: 2, To: To(set(t, upstream.Options{TLS: &tls.Config{InsecureSkipVerify: true}}, address))}, nil)
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	c := r.dial()
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, of %d, %v", len(got), len(data), err)
	}
	if remote := <-header; remote != c.LocalAddr().String() {
		t.Errorf("the header has %s", remote)
	}
	if e := r.over(1); e.Err != nil {
		t.Error(e.Err)
	}
}

// Clients speak TLS, and targets do or do not. Both directions end by themselves, and no byte is lost.
func TestTLSOfClients(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	echo := func(c net.Conn, end func() error) {
		c.SetDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		c.Write(b)
		end()
	}
	plain := target(t, func(c *net.TCPConn) { echo(c, c.CloseWrite) })
	secure := target(t, func(c *net.TCPConn) {
		s := tls.Server(c, config)
		echo(s, s.CloseWrite)
		io.Copy(io.Discard, c)
	})
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	for _, targets := range []*upstream.Set{
		set(t, upstream.Options{}, plain),
		set(t, upstream.Options{TLS: &tls.Config{InsecureSkipVerify: true}}, secure),
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			r := newRigTLS(t, Config{To: To(targets)}, nil, &engine.TLS{Config: config})
			c := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			go func() {
				c.Write(data)
				c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back, of %d, %v", len(got), len(data), err)
			}
			if e := r.over(1); e.Err != nil {
				t.Error(e.Err)
			}
		}
	}
}

// A target without the right certificate is one that cannot be connected to.
func TestTLSToWrongTarget(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	wrong := target(t, func(c *net.TCPConn) { tls.Server(c, config).Handshake() })
	r := newRig(t, Config{To: To(set(t, upstream.Options{TLS: &tls.Config{}}, wrong))}, nil)
	c := r.dial()
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the client is not reset")
	}
	if e := r.over(1); e.Err == nil || e.Target != "" {
		t.Errorf("%+v", e)
	}
	if s := r.proxy.config.To(nil).Servers()[0]; s.Active() != 0 {
		t.Error("the target still has the session")
	}
}
