package parity

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client talks to a server as its case says, and writes a transcript: the same for every run, and for every server that does the
// same.
type client struct {
	t     *testing.T
	w     *world
	conn  net.Conn
	in    *bufio.Reader
	log   strings.Builder
	over  bool // the connection has ended
	mark  int  // where the response that is being read begins in log
	gates int  // how many times the handler goes on when a chunk was read, or the first byte of a body
	ends  bool // the last response says that the connection ends
}

func dial(t *testing.T, w *world, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, w: w, conn: conn, in: bufio.NewReader(conn)}
}

// send sends text with CR LF for each LF.
func (c *client) send(text string) { c.sendRaw(strings.ReplaceAll(text, "\n", "\r\n")) }

// sendRaw sends text. The server may have ended the connection already: that shows in what is read.
func (c *client) sendRaw(text string) { io.WriteString(c.conn, text) }

// goOn lets a handler go on that waits.
func (c *client) goOn() {
	select {
	case c.w.gate <- struct{}{}:
	case <-time.After(patience):
		c.t.Error("no handler waits")
	}
}

// noted waits for what a handler notes, and writes it down.
func (c *client) noted() {
	select {
	case text := <-c.w.notes:
		c.line("noted: " + text)
	case <-time.After(patience):
		c.t.Error("the handler notes nothing")
	}
}

// finish sends the FIN.
func (c *client) finish() { c.conn.(*net.TCPConn).CloseWrite() }

func (c *client) line(text string) { c.log.WriteString(text + "\n") }

// ended writes down how the connection has ended.
func (c *client) ended(err error) {
	c.over = true
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// How much of the response has come before the reset is chance.
		before := c.log.String()[:c.mark]
		c.log.Reset()
		c.log.WriteString(before)
		c.line("reset")
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		c.line("end")
	default:
		c.t.Error(err)
		c.line("error")
	}
}

// response reads the responses to a request, interim ones first.
func (c *client) response(method string) {
	c.mark = c.log.Len()
	defer func() { c.mark = c.log.Len() }()
	for !c.over {
		status, fields := c.head()
		switch {
		case c.over || status == 101:
			return
		case status >= 200:
			c.body(method, status, fields)
			return
		}
	}
}

// head reads a head. Its fields are in the order of their names. Only the name is left of Date.
func (c *client) head() (status int, fields map[string]string) {
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			if len(lines) > 0 || line != "" {
				c.line(fmt.Sprintf("an incomplete head: %q", append(lines, line)))
			}
			c.ended(err)
			return 0, nil
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	fmt.Sscanf(lines[0], "HTTP/1.%d %d", new(int), &status)
	fields = make(map[string]string)
	for i, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if name == "Date" {
			lines[i+1] = "Date"
		}
		fields[strings.ToLower(name)] += strings.ToLower(strings.TrimSpace(value))
	}
	slices.Sort(lines[1:])
	for _, line := range lines {
		c.line(c.masked(line))
	}
	_, keeps := fields["connection"]
	c.ends = strings.Contains(fields["connection"], "close") ||
		strings.HasPrefix(lines[0], "HTTP/1.0") && !(keeps && strings.Contains(fields["connection"], "keep-alive"))
	return status, fields
}

var (
	portOf     = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	boundaryOf = regexp.MustCompile(`[0-9a-f]{60}`)
)

// masked hides what differs from run to run.
func (c *client) masked(text string) string {
	return boundaryOf.ReplaceAllString(portOf.ReplaceAllString(text, "127.0.0.1:PORT"), "BOUNDARY")
}

// body reads the body of a response (RFC 9112 §6.3).
func (c *client) body(method string, status int, fields map[string]string) {
	_, sized := fields["content-length"]
	switch {
	case method == "HEAD" || status == 204 || status == 304:
	case fields["transfer-encoding"] == "chunked":
		c.chunks()
	case sized:
		n, _ := strconv.Atoi(fields["content-length"])
		if c.gates > 0 && n > 0 {
			c.in.Peek(1)
			c.opened()
		}
		p := make([]byte, n)
		got, err := io.ReadFull(c.in, p)
		c.text("body", p[:got], err)
	default:
		p, err := io.ReadAll(c.in)
		if err == nil {
			c.line("body until the end")
			err = io.EOF
		}
		c.text("body", p, err)
	}
}

// opened lets the handler go on, if it waits for that.
func (c *client) opened() {
	if c.gates > 0 {
		c.gates--
		c.goOn()
	}
}

// text writes bytes down, unless they were cut off by a reset: how many of them are there is chance then.
func (c *client) text(what string, p []byte, err error) {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		c.line(fmt.Sprintf("%s: %s", what, c.shown(p)))
	}
	if err != nil {
		c.ended(err)
	}
}

// shown is a text, or what tells a long one apart.
func (c *client) shown(p []byte) string {
	s := c.masked(fmt.Sprintf("%q", p))
	if len(s) <= 400 {
		return s
	}
	return fmt.Sprintf("%s… %d bytes, %x", s[:40], len(p), sha256.Sum256([]byte(s)))
}

// chunks reads a chunked body and its trailer section.
func (c *client) chunks() {
	var sizes []int64
	var data []byte
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.chunked(sizes, data, err)
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			c.t.Errorf("chunk size %q", line)
			return
		}
		if n == 0 {
			break
		}
		p := make([]byte, n+2)
		got, err := io.ReadFull(c.in, p)
		data = append(data, p[:min(got, int(n))]...)
		if err != nil {
			c.chunked(sizes, data, err)
			return
		}
		sizes = append(sizes, n)
		c.opened()
	}
	c.chunked(sizes, data, nil)
	c.trailer()
}

func (c *client) chunked(sizes []int64, data []byte, err error) {
	what := "many chunks"
	if len(sizes) <= 8 {
		what = fmt.Sprintf("chunks %d", sizes)
	}
	c.text(what, data, err)
}

func (c *client) trailer() {
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.ended(err)
			return
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, "trailer "+line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		c.line(line)
	}
}

// reads reads text, which is not a response.
func (c *client) reads(text string) {
	c.t.Helper()
	if c.over {
		return
	}
	p := make([]byte, len(text))
	n, err := io.ReadFull(c.in, p)
	c.text("read", p[:n], err)
}

// fate finds out what becomes of the connection: it sends another request, unless the last response says that there can be none.
func (c *client) fate() {
	if c.over {
		return
	}
	if !c.ends {
		c.send("GET /probe HTTP/1.1\nHost: h\nConnection: close\n\n")
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil:
			c.line("closed without notice")
			return
		case line != "HTTP/1.1 299 Probe\r\n" && !strings.HasPrefix(line, "HTTP/1.1 299"):
			c.line(fmt.Sprintf("kept, but then: %q", line))
			return
		}
		c.line("kept")
		return
	}
	rest, err := io.ReadAll(c.in)
	if err == nil {
		err = io.EOF
	}
	if len(rest) > 0 && err == io.EOF {
		c.text("more", rest, nil)
	}
	c.ended(err)
}
