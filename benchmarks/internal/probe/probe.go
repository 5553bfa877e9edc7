package probe

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Limits on the answers: far above those of the workloads.
const (
	headBytesMax = 64 << 10
	bodyBytesMax = 16 << 20
)

// Answer is a response as it arrived.
type Answer struct {
	Status string  // the status line without the version, "200 OK"
	Fields []Field // in the order of arrival
	Head   int     // bytes of the head, including the empty line at its end
	Body   []byte
}

// Field is one line of the head.
type Field struct{ Name, Value string }

// Get returns the value of the first field with this name, in any case, and whether there is one.
func (a Answer) Get(name string) (string, bool) {
	for _, f := range a.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Request returns the bytes of a request for a path at address, with a body unless it is nil.
func Request(method, address, path string, body []byte, fields ...Field) []byte {
	head := method + " " + path + " HTTP/1.1\r\nHost: " + address + "\r\n"
	for _, f := range fields {
		head += f.Name + ": " + f.Value + "\r\n"
	}
	if body != nil {
		head += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return append([]byte(head+"\r\n"), body...)
}

// Read reads one answer.
func Read(r *bufio.Reader) (Answer, error) {
	var a Answer
	status, err := readLine(r, &a.Head)
	if err != nil {
		return a, err
	}
	version, rest, found := strings.Cut(status, " ")
	if !found || version != "HTTP/1.1" {
		return a, fmt.Errorf("invalid status line %.80q", status)
	}
	a.Status = rest
	for {
		line, err := readLine(r, &a.Head)
		if err != nil {
			return a, err
		}
		if line == "" {
			break
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return a, fmt.Errorf("invalid field line %.80q", line)
		}
		a.Fields = append(a.Fields, Field{name, strings.TrimSpace(value)})
	}
	if coding, there := a.Get("Transfer-Encoding"); there {
		if coding != "chunked" {
			return a, fmt.Errorf("answer with Transfer-Encoding: %.80s", coding)
		}
		a.Body, err = readChunks(r)
		return a, err
	}
	text, _ := a.Get("Content-Length")
	length, err := strconv.Atoi(text)
	if err != nil || length < 0 || length > bodyBytesMax {
		return a, fmt.Errorf("answer with invalid Content-Length %.80q", text)
	}
	a.Body = make([]byte, length)
	if _, err = io.ReadFull(r, a.Body); err != nil {
		return a, fmt.Errorf("answer cut short: %w", err)
	}
	return a, nil
}

// readChunks reads a chunked body. Trailer fields count as an error.
func readChunks(r *bufio.Reader) (body []byte, err error) {
	for read := 0; ; {
		line, err := readLine(r, &read)
		if err != nil {
			return nil, fmt.Errorf("answer cut short: %w", err)
		}
		length, err := strconv.ParseUint(line, 16, 31)
		if err != nil || len(body)+int(length) > bodyBytesMax {
			return nil, fmt.Errorf("chunk with invalid length %.80q", line)
		}
		body = append(body, make([]byte, length)...)
		if _, err = io.ReadFull(r, body[len(body)-int(length):]); err != nil {
			return nil, fmt.Errorf("answer cut short: %w", err)
		}
		end, err := readLine(r, &read)
		switch {
		case err != nil:
			return nil, fmt.Errorf("answer cut short: %w", err)
		case end != "":
			return nil, fmt.Errorf("%.80q after a chunk", end)
		case length == 0:
			return body, nil
		}
	}
}

func readLine(r *bufio.Reader, read *int) (string, error) {
	line, err := r.ReadSlice('\n')
	*read += len(line)
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the head: %w", err)
	case *read > headBytesMax:
		return "", errors.New("head too long")
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// Dialer opens a connection.
type Dialer func() (*Client, error)

// Get opens a connection, sends the request over it twice, and returns both answers. It fails if the server
// does not keep the connection.
func Get(dial Dialer, request []byte) (first, second Answer, err error) {
	err = exchange(dial, request, &first, &second)
	return first, second, err
}

// GetOnce opens a connection, sends the request, and returns the answer.
func GetOnce(dial Dialer, request []byte) (answer Answer, err error) {
	err = exchange(dial, request, &answer)
	return answer, err
}

// exchange sends the request over one connection as often as there are answers to fill in.
func exchange(dial Dialer, request []byte, answers ...*Answer) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, answer := range answers {
		if *answer, err = c.Ask(request); err != nil {
			return err
		}
	}
	return nil
}

// Client is a connection that requests are sent over, one after the other.
type Client struct {
	net.Conn
	r       *bufio.Reader
	timeout time.Duration
}

// Dial opens a connection to address. timeout bounds that, and each request.
func Dial(address string, timeout time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	return NewClient(conn, timeout), nil
}

// DialTLS is Dial with TLS, whatever the certificate.
func DialTLS(address string, timeout time.Duration) (*Client, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return NewClient(conn, timeout), nil
}

// NewClient returns a client for a connection.
func NewClient(conn net.Conn, timeout time.Duration) *Client {
	return &Client{conn, bufio.NewReader(conn), timeout}
}

// Ask sends a request and reads its answer.
func (c *Client) Ask(request []byte) (Answer, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return Answer{}, err
	}
	if _, err := c.Write(request); err != nil {
		return Answer{}, err
	}
	return Read(c.r)
}

// AskOK is Ask for requests whose answer must be 200.
func (c *Client) AskOK(request []byte) (Answer, error) {
	answer, err := c.Ask(request)
	if err == nil && answer.Status != "200 OK" {
		err = fmt.Errorf("status %.80q", answer.Status)
	}
	return answer, err
}
