package proxy

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/upstream"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of a test.
const patience = time.Minute

// target is a server that does what a test tells it: a script for each connection.
type target struct {
	t       *testing.T
	ln      net.Listener
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	count   int
	running sync.WaitGroup
}

// peer is a connection of a target, or of a client.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
	n int // the number of the connection, from 1
}

// newTarget starts a target on a free port.
func newTarget(t *testing.T, script func(*peer)) *target {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveTarget(t, ln, script)
}

func serveTarget(t *testing.T, ln net.Listener, script func(*peer)) *target {
	a := &target{t: t, ln: ln, conns: make(map[net.Conn]struct{})}
	a.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.count++
			p := &peer{t: t, Conn: c, r: bufio.NewReader(c), n: a.count}
			a.conns[c] = struct{}{}
			a.mu.Unlock()
			a.running.Go(func() {
				defer func() {
					c.Close()
					a.mu.Lock()
					delete(a.conns, c)
					a.mu.Unlock()
				}()
				script(p) // stop ends its connection at the latest
			})
		}
	})
	t.Cleanup(a.stop)
	return a
}

// stop ends the target with all its connections.
func (a *target) stop() {
	a.ln.Close()
	a.mu.Lock()
	for c := range a.conns {
		c.Close()
	}
	a.mu.Unlock()
	a.running.Wait()
}

func (a *target) addr() string { return a.ln.Addr().String() }

// accepted is the number of connections so far, open those that are open.
func (a *target) accepted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func (a *target) open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.conns)
}

// request reads a request head as text. It returns "" at the end of the connection.
func (p *peer) request() string {
	var text strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			return ""
		}
		if line == "\r\n" {
			return text.String()
		}
	}
}

// send writes text, and ignores an error: many peers of these tests go away.
func (p *peer) send(text string) { io.WriteString(p.Conn, text) }

// take reads n bytes.
func (p *peer) take(n int) string {
	b := make([]byte, n)
	k, err := io.ReadFull(p.r, b)
	if err != nil {
		return string(b[:k]) + " then " + err.Error()
	}
	return string(b)
}

// all reads to the end.
func (p *peer) all() (string, error) {
	b, err := io.ReadAll(p.r)
	return string(b), err
}

// wait waits for the end of the connection.
func (p *peer) wait() { io.Copy(io.Discard, p.r) }

// reset ends the connection with RST.
func (p *peer) reset() {
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Conn.Close()
}

func (p *peer) closeWrite() { p.Conn.(*net.TCPConn).CloseWrite() }

// answering is a script that answers each request with the same text.
func answering(text string) func(*peer) {
	return func(p *peer) {
		for p.request() != "" {
			p.send(text)
		}
	}
}

// ok is a response with a body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// rig is an engine with a proxy.
type rig struct {
	t       *testing.T
	e       *engine.Engine
	address string
	set     *upstream.Set
	log     chan engine.Access
	errs    chan error // of Failed
}

type rigOptions struct {
	Config
	upstream.Options
	loops  int
	limits engine.Limits
	narrow bool // the sockets of clients take little at a time
	check  bool // engine.Options.Check
}

// newRig starts a proxy for targets.
func newRig(t *testing.T, o rigOptions, targets ...*target) *rig {
	t.Helper()
	var list []upstream.Target
	for _, a := range targets {
		list = append(list, upstream.Target{Addr: a.addr()})
	}
	return newRigOf(t, o, list...)
}

func newRigOf(t *testing.T, o rigOptions, targets ...upstream.Target) *rig {
	t.Helper()
	if o.Balance == nil {
		o.Balance = upstream.RoundRobin() // the first target is the first
	}
	// On a busy machine, connections wait longer than those of a proxy should, and are made more slowly.
	o.Options.Idle, o.Options.Connect = cmp.Or(o.Options.Idle, time.Hour), cmp.Or(o.Options.Connect, patience)
	set, err := upstream.New(o.Options, targets...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, set: set, log: make(chan engine.Access, 1000), errs: make(chan error, 1000)}
	r.e, err = engine.New(engine.Options{Loops: max(1, o.loops), Check: o.check, Logger: slog.New(slog.DiscardHandler),
		AccessLog: func(a *engine.Access) {
			select {
			case r.log <- engine.Access{Status: a.Status, Complete: a.Complete}:
			default:
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Config.To == nil {
		o.Config.To = To(set)
	}
	if o.Config.Failed == nil {
		o.Config.Failed = func(_ *Request, err error) int {
			select {
			case r.errs <- err:
			default:
			}
			return 0
		}
	}
	ln, err := r.e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o.narrow {
		narrow(t, ln)
	}
	if err := r.e.Serve(ln, New(o.Config), 0, o.limits); err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.e.Drain(ctx); err != nil {
			t.Error("drain:", err)
		}
		if err := r.e.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		for _, s := range set.Servers() {
			if s.Active() != 0 {
				t.Errorf("%s: %d requests are still counted", s.Addr(), s.Active())
			}
		}
		if n := set.Waiting(); n != 0 {
			t.Errorf("%d requests are still in the queue", n)
		}
	})
	return r
}

// narrow makes the send buffers of the connections of ln small: they have those of the sockets that listen.
func narrow(t *testing.T, ln *engine.Listener) {
	t.Helper()
	files, err := ln.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		c, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 32<<10) })
		if err != nil {
			t.Error(err)
		}
		f.Close()
	}
}

// dial connects to the proxy, and sends text.
func (r *rig) dial(text string) *peer {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	p := &peer{t: r.t, Conn: c, r: bufio.NewReader(c)}
	r.t.Cleanup(func() { c.Close() })
	p.send(text)
	return p
}

// reply is a response as a client sees it.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error // of reading the body
	length  int64
}

// reply reads a response.
func (p *peer) reply(method string) reply {
	p.t.Helper()
	if p.Conn != nil { // not only bytes
		p.SetDeadline(time.Now().Add(patience)) // there may be any number of responses
	}
	res, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		return reply{err: err}
	}
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, res.Trailer, string(body), err, res.ContentLength}
}

// get sends a GET request on a connection of its own.
func (r *rig) get(fields ...string) reply { return r.ask("GET", "/", fields...) }

func (r *rig) ask(method, path string, fields ...string) reply {
	r.t.Helper()
	body := ""
	text := method + " " + path + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n"
	for _, f := range fields {
		if strings.HasPrefix(f, "\n") {
			body = f[1:]
			f = fmt.Sprintf("Content-Length: %d", len(body))
		}
		text += f + "\r\n"
	}
	p := r.dial(text + "\r\n" + body)
	defer p.Close()
	return p.reply(method)
}

// want checks a response.
func (a reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		t.Errorf("status %d, body %q, error %v; want %d, %q", a.status, cut(a.body), a.err, status, cut(body))
	}
}

func cut(s string) string { return s[:min(len(s), 200)] }

// failure checks which error Failed was told of.
func (r *rig) failure(want error) {
	r.t.Helper()
	select {
	case err := <-r.errs:
		if !errors.Is(err, want) {
			r.t.Errorf("failure %q, want %q", err, want)
		}
	case <-time.After(patience):
		r.t.Errorf("no failure, want %q", want)
	}
}

// logged checks the next record of the access log.
func (r *rig) logged(status int, complete bool) {
	r.t.Helper()
	select {
	case a := <-r.log:
		if a.Status != status || a.Complete != complete {
			r.t.Errorf("access log: status %d, complete %v; want %d, %v", a.Status, a.Complete, status, complete)
		}
	case <-time.After(patience):
		r.t.Errorf("nothing in the access log, want %d", status)
	}
}

// until waits until something is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
