package testrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	responseBytesMax = 16 << 20  // of a body, for a test
	headBytesMax     = 1 << 20   // of a head
	requestMax       = time.Hour // any timeout of a request is shorter
)

// fixedFields are the parts of a question that come before the fields of the request: method, target, body, timeout, pool, listener,
// address of the client.
const fixedFields = 7

// get sends a request, and returns the response as a list: "ok", status, reason, body, and the fields, name and value in turn. If
// there is none, "error" and why.
func (r *Run) get(ctx context.Context, q []string) []string {
	answer, err := r.exchange(ctx, q)
	if err != nil {
		if r.running != nil {
			r.running.Last = cut("last request: "+q[0]+" "+q[1], nameBytesMax)
		}
		return []string{"error", err.Error()}
	}
	return answer
}

func (r *Run) exchange(ctx context.Context, q []string) ([]string, error) {
	timeout, err := timeoutOf(q[3])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, id, err := r.request(ctx, q)
	if err != nil {
		return nil, err
	}
	conn, err := r.dial(q)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return r.roundTrip(req, id, conn, timeout)
}

func timeoutOf(s string) (time.Duration, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0 && n <= requestMax.Seconds()) {
		return 0, fmt.Errorf("timeout: %s is not a number of seconds up to %v", s, requestMax.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}

func (r *Run) dial(q []string) (net.Conn, error) {
	pool, err := strconv.Atoi(q[4])
	if err != nil {
		return nil, fmt.Errorf("pool: %s is not a number", q[4])
	}
	listener, err := strconv.Atoi(q[5])
	if err != nil {
		return nil, fmt.Errorf("listener: %s is not a number", q[5])
	}
	return r.Dial(pool, listener, q[6])
}

// request makes the request. Its target is sent as it is.
func (r *Run) request(ctx context.Context, q []string) (req *http.Request, id string, err error) {
	target := q[1]
	if !strings.HasPrefix(target, "/") && target != "*" {
		return nil, "", fmt.Errorf("the path %q does not begin with /", target)
	}
	var body io.Reader
	if q[2] != "" {
		body = strings.NewReader(q[2])
	}
	if req, err = http.NewRequestWithContext(ctx, q[0], "http://localhost/", body); err != nil {
		return nil, "", err
	}
	req.URL = &url.URL{Scheme: "http", Host: "localhost", Opaque: target}
	fields := q[fixedFields:]
	if len(fields)%2 != 0 {
		return nil, "", errors.New("a field has no value")
	}
	for i := 0; i < len(fields); i += 2 {
		name, value := fields[i], fields[i+1]
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "mbserve-test")
	}
	if id = req.Header.Get("X-Request-ID"); id == "" {
		r.ids++
		id = r.IDs + strconv.Itoa(r.ids)
		req.Header.Set("X-Request-ID", id)
	}
	return req, id, nil
}

func (r *Run) roundTrip(req *http.Request, id string, conn net.Conn, timeout time.Duration) ([]string, error) {
	dialed := false
	t := &http.Transport{
		DisableCompression: true, MaxResponseHeaderBytes: headBytesMax,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if dialed {
				return nil, errors.New("the connection has ended without a response")
			}
			dialed = true
			return asItIs(conn, req), nil
		},
	}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, reasonOf(req, err, timeout)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, responseBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("status %d, then: %w", resp.StatusCode, reasonOf(req, err, timeout))
	}
	if len(body) > responseBytesMax {
		return nil, fmt.Errorf("the response is longer than %d bytes", responseBytesMax)
	}
	r.note(req, resp, id)
	return listOf(resp, body), nil
}

// plainTarget is a connection that sends a target with two slashes at its beginning as it is. net/url writes it with a scheme before
// it, since others take what follows for a host: that would be another request.
type plainTarget struct {
	net.Conn
	method string // of the request; "": it was sent
}

func asItIs(conn net.Conn, req *http.Request) net.Conn {
	if !strings.HasPrefix(req.URL.Opaque, "//") {
		return conn
	}
	return &plainTarget{conn, req.Method}
}

// Write implements net.Conn. The first call has the request line.
func (c *plainTarget) Write(p []byte) (int, error) {
	method := []byte(c.method + " ")
	rest, found := bytes.CutPrefix(p, append(method, "http:"...))
	if c.method == "" || !found {
		return c.Conn.Write(p)
	}
	c.method = ""
	n, err := c.Conn.Write(append(method, rest...))
	return min(n+len("http:"), len(p)), err
}

// reasonOf says in the words of this program why there is no response.
func reasonOf(req *http.Request, err error, timeout time.Duration) error {
	switch {
	case errors.Is(req.Context().Err(), context.DeadlineExceeded):
		return fmt.Errorf("no response within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was closed before the response was complete")
	}
	return err
}

// note remembers the request, for the case that the test fails.
func (r *Run) note(req *http.Request, resp *http.Response, id string) {
	if r.running == nil {
		return
	}
	r.running.Last = fmt.Sprintf("last request: %s: %d", cut(req.Method+" "+req.URL.Opaque, nameBytesMax), resp.StatusCode)
	if resp.StatusCode == http.StatusInternalServerError {
		r.failing = append(r.failing, id)
	}
}

func listOf(resp *http.Response, body []byte) []string {
	_, reason, _ := strings.Cut(resp.Status, " ")
	list := []string{"ok", strconv.Itoa(resp.StatusCode), reason, string(body)}
	var names []string
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range resp.Header[name] {
			list = append(list, name, value)
		}
	}
	return list
}
