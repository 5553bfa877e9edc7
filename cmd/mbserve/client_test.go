package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newClient returns an HTTP client with separate connections.
func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 4 * patience} // for large bodies on a busy machine
}

// fetch makes one request on a new connection.
func fetch(method, url, body string) (*http.Response, string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: patience}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	return do(c, req)
}

func do(c *http.Client, req *http.Request) (*http.Response, string, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// get expects status 200 and returns the body.
func get(t testing.TB, url string) string {
	t.Helper()
	return got(t, url, fetch)
}

// getMeanwhile is get for a client that does not stop while the server is replaced.
func getMeanwhile(t testing.TB, url string) string {
	t.Helper()
	return got(t, url, fetchMeanwhile)
}

func got(t testing.TB, url string, fetch func(method, url, body string) (*http.Response, string, error)) string {
	t.Helper()
	resp, body, err := fetch("GET", url, "")
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("%s: status %s: %s", url, resp.Status, body)
	}
	return body
}

// late reports whether a request that has begun then was too late: a connection that is to end, since another process takes over, waits a second
// for its last request. On a busy machine a client may need longer between the connection and the request.
func late(begun time.Time, err error) bool {
	ended := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return ended && time.Since(begun) >= time.Second
}

// fetchMeanwhile is fetch for a client that does not stop while the server is replaced. A request that was late is repeated.
func fetchMeanwhile(method, url, body string) (*http.Response, string, error) {
	for {
		begun := time.Now()
		if resp, text, err := fetch(method, url, body); !late(begun, err) {
			return resp, text, err
		}
	}
}

// status returns the status of a request; the connection must not fail.
func status(t testing.TB, method, url string) int {
	t.Helper()
	resp, _, err := fetch(method, url, "")
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// peer is a client that sends and receives bytes.
type peer struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, address string) *peer {
	t.Helper()
	return dialWith(t, net.Dialer{}, address)
}

// dialAs is dial for one of several clients, each with an address of its own: what they open is no burst (see --fill-loops).
func dialAs(t testing.TB, client int, address string) *peer {
	t.Helper()
	return dialWith(t, net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(client))}}, address)
}

func dialWith(t testing.TB, d net.Dialer, address string) *peer {
	t.Helper()
	d.Timeout = patience
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &peer{t, c, bufio.NewReader(c)}
	p.step()
	return p
}

// step begins a step of a dialogue, which may have any number of them. Each one is bounded.
func (p *peer) step() { p.SetDeadline(time.Now().Add(2 * patience)) }

func (p *peer) say(format string, args ...any) {
	p.t.Helper()
	p.step()
	if _, err := fmt.Fprintf(p, format, args...); err != nil {
		p.t.Fatal(err)
	}
}

// get sends a GET.
func (p *peer) get(path string) {
	p.t.Helper()
	p.say("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
}

// hears reads a response, checks its status, and returns the body.
func (p *peer) hears(status int) string {
	p.t.Helper()
	p.step()
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode != status {
		p.t.Fatalf("status %d %q, want %d", resp.StatusCode, body, status)
	}
	return string(body)
}

// hearsEnd expects the connection to end in an orderly way, without another byte.
func (p *peer) hearsEnd() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err != io.EOF {
		p.t.Fatalf("read %q, %v; want the end of the connection", b, err)
	}
	p.Close() // otherwise the server waits for that
}

// hearsBreak expects the connection to end in any way.
func (p *peer) hearsBreak() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.r)
	if n, ok := err.(net.Error); ok && n.Timeout() {
		p.t.Fatal("the connection does not end")
	}
	p.Close()
}

// refuses reports whether connections to an address are refused.
func refuses(address string) bool {
	c, err := net.DialTimeout("tcp", address, patience)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// servesIPv4 reports whether a port on IPv4 gives answers that begin with these words. Another listener may have the same
// number there: one on IPv6 alone does not reserve it.
func servesIPv4(port, words string) bool {
	_, body, err := fetch("GET", "http://127.0.0.1:"+port+"/", "")
	return err == nil && strings.HasPrefix(body, words)
}

// ask makes a GET on the connection, which stays open. Unlike the client of net/http it never retries.
func (p *peer) ask(path string) (status int, body string, err error) {
	p.step()
	if _, err = fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}
