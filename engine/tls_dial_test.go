package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

const firstLine = "PROXY UNKNOWN\r\n"

// tlsEcho is a server that takes a line in the clear, and then sends back over TLS what it gets.
func tlsEcho(t *testing.T, config *tls.Config) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(waitMost))
				line := make([]byte, len(firstLine))
				if _, err := io.ReadFull(c, line); err != nil || string(line) != firstLine {
					return
				}
				s := tls.Server(c, config)
				io.Copy(s, s)
				s.CloseWrite()
			}()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// What is sent over TLS on a loop comes back, whatever version of TLS the server speaks, in the order of the calls.
func TestTLSDial(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		e := startEngine(t, Options{Loops: 1})
		config := serverConfig()
		config.MaxVersion = version
		to := tlsEcho(t, config)
		done := make(chan error, 1)
		var got bytes.Buffer
		client := clientConfig()
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		resumed := false
		dialOnce := func() {
			got.Reset()
			onLoop(t, e.Loop(0), func() {
				e.Loop(0).(backend.Dialer).Dial(backend.Address{AddrPort: to}, backend.DialOptions{TLS: client, First: []byte(firstLine)},
					opener(func(c backend.Conn) backend.Stream {
						resumed = backend.TLSOf(c).DidResume
						c.Write(sent)
						c.CloseWrite()
						return &calls{t: t, closed: func(_ backend.Conn, err error) { done <- err }, data: func(c backend.Conn) {
							got.Write(c.Unread())
							c.Discard(len(c.Unread()))
						}}
					}), func(err error) { done <- err })
			})
			if err := waitFor(t, done, "end"); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), sent) {
				t.Errorf("%d bytes came back, of %d", got.Len(), len(sent))
			}
		}
		dialOnce()
		dialOnce()
		if !resumed {
			t.Errorf("%s: the session is not resumed", tls.VersionName(version))
		}
	}
}

// joining is a connection that keeps what is written, if joins.
type joining struct {
	net.Conn
	joins bool
	held  []byte
}

func (j *joining) Write(p []byte) (int, error) {
	if !j.joins {
		return j.Conn.Write(p)
	}
	j.held = append(j.held, p...)
	return len(p), nil
}

// The end in TLS comes with the last bytes, and without the end of the connection: who has the bytes must not take it for quiet, since
// nothing that is sent from now on is answered.
func TestTLSEndIsNotQuiet(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitMost))
		j := &joining{Conn: c}
		s := tls.Server(j, serverConfig())
		if s.Handshake() != nil {
			return
		}
		s.Read(make([]byte, 1))
		j.joins = true
		s.Write([]byte("x"))
		s.CloseWrite()
		c.SetWriteDeadline(time.Now().Add(waitMost)) // CloseWrite has set one
		c.Write(j.held)
		io.Copy(io.Discard, c)
	}()
	quiet := make(chan string, 10)
	onLoop(t, e.Loop(0), func() {
		e.Loop(0).(backend.Dialer).Dial(backend.Address{AddrPort: ln.Addr().(*net.TCPAddr).AddrPort()}, backend.DialOptions{TLS: clientConfig()},
			opener(func(c backend.Conn) backend.Stream {
				c.Write([]byte("?"))
				return &calls{t: t, closed: func(backend.Conn, error) {}, data: func(c backend.Conn) {
					text := string(c.Unread())
					c.Discard(len(text))
					quiet <- fmt.Sprintf("%q, ended %v, quiet %v", text, c.Ended(), c.(backend.Quiet).Quiet())
					if c.Ended() {
						c.Close()
					}
				}}
			}), func(err error) { quiet <- err.Error() })
	})
	for _, want := range []string{`"x", ended false, quiet false`, `"", ended true, quiet false`} {
		if got := waitFor(t, quiet, "data"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTLSDialFails(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	to := backend.Address{AddrPort: tlsEcho(t, serverConfig())}
	first := []byte(firstLine)
	check := func(name string, to backend.Address, o backend.DialOptions, want func(error) bool) {
		t.Helper()
		o.First = first
		err := dialFrom(t, e, to, o)
		if !errors.As(err, new(*backend.HandshakeError)) || !want(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("a certificate of an unknown authority", to, backend.DialOptions{TLS: &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}},
		func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) })
	check("no name", to, backend.DialOptions{TLS: &tls.Config{}}, func(error) bool { return true })
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mute := backend.Address{AddrPort: ln.Addr().(*net.TCPAddr).AddrPort()}
	check("no answer", mute, backend.DialOptions{TLS: clientConfig(), Timeout: 20 * time.Millisecond},
		func(err error) bool { return errors.Is(err, syscall.ETIMEDOUT) })
	plain, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	}()
	check("a server without TLS", backend.Address{AddrPort: plain.Addr().(*net.TCPAddr).AddrPort()}, backend.DialOptions{TLS: clientConfig()},
		func(error) bool { return true })
	if n := e.dialed.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// An attempt may be cancelled in its handshake, and ends with the engine.
func TestTLSDialCancelled(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	to := backend.Address{AddrPort: ln.Addr().(*net.TCPAddr).AddrPort()}
	failed := make(chan error, 2)
	dialMute := func() (cancel func()) {
		onLoop(t, e.Loop(0), func() {
			cancel = e.Loop(0).(backend.Dialer).Dial(to, backend.DialOptions{TLS: clientConfig()}, opener(func(backend.Conn) backend.Stream {
				t.Error("there is a connection")
				return nil
			}), func(err error) { failed <- err })
		})
		await(t, "the handshake runs", func() bool { running, _ := e.Handshakes(); return running > 0 })
		return cancel
	}
	cancel := dialMute()
	onLoop(t, e.Loop(0), cancel)
	await(t, "the handshake ends", func() bool { running, _ := e.Handshakes(); return running == 0 })
	dialMute()
	e.Shutdown(t.Context())
	if err := waitFor(t, failed, "failure"); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	if len(failed) > 0 {
		t.Error("a cancelled attempt fails")
	}
}
