package engine

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// tlsUpgrading is a backend that makes every connection one of a Protocol, on its loop or on a goroutine.
type tlsUpgrading struct {
	testBackend
	upgrade func(x backend.Upgrader) error
}

func (b *tlsUpgrading) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &tlsUpgradingLoop{testLoopBackend{&b.testBackend, l}, b}, nil
}

type tlsUpgradingLoop struct {
	testLoopBackend
	u *tlsUpgrading
}

func (l *tlsUpgradingLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	running, err := l.testLoopBackend.Start(x, h, listener, body, more)
	l.l.Post(func() {
		running.(*testRun).over = true
		if err := l.u.upgrade(x.(backend.Upgrader)); err != nil {
			panic(err)
		}
	})
	return running, err
}

// A connection that leaves HTTP keeps its TLS, on the loop and off it, with the bytes that came early.
func TestTLSUpgrade(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
	for name, upgrade := range map[string]func(x backend.Upgrader) error{
		"loop": func(x backend.Upgrader) error { return x.Upgrade([]byte(head), echo(t, nil), backend.Bounds{}) },
		"goroutine": func(x backend.Upgrader) error {
			conn, err := x.Hijack([]byte(head))
			if err != nil {
				return err
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(waitMost))
				all, _ := io.ReadAll(conn)
				conn.Write(all)
			}()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &tlsUpgrading{testBackend: testBackend{window: 64}, upgrade: upgrade}
			_, addr := startTLS(t, Options{Loops: 1}, Limits{}, b, &TLS{Config: serverConfig()})
			p := dialTLS(t, addr, clientConfig())
			p.say("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly ")
			rest := strings.Repeat("late ", 100_000)
			go func() {
				io.WriteString(p, rest)
				p.CloseWrite()
			}()
			got, err := io.ReadAll(bufio.NewReader(p.r))
			if want := head + "early " + rest; err != nil || string(got) != want {
				t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
			}
		})
	}
}

// A peer that ends the connection without saying so in TLS may have been cut off, whether that was known before the upgrade or not.
func TestTLSUpgradeCut(t *testing.T) {
	closed := make(chan error, 1)
	protocol := opener(func(backend.Conn) backend.Stream {
		return &calls{t: t, data: func(c backend.Conn) {
			if c.Ended() {
				c.Close()
			}
		}, closed: func(_ backend.Conn, err error) { closed <- err }}
	})
	b := &tlsUpgrading{testBackend: testBackend{window: 64}, upgrade: func(x backend.Upgrader) error {
		return x.Upgrade([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), protocol, backend.Bounds{})
	}}
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, b, &TLS{Config: serverConfig()})
	for range 20 {
		p := dialTLS(t, addr, clientConfig())
		p.say("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		p.stream.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite()
		if err := waitFor(t, closed, "end"); err == nil {
			t.Fatal("the end of a connection that was cut looks complete")
		}
	}
}
