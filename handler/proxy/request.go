package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Request is a request as the functions of a Config see it. It is valid during their calls only.
type Request struct {
	// Value is for the functions: what one of them stores is there for the later ones of the same request.
	Value any

	e      *exchange
	head   *httpparse.Head // nil after Edit
	target []byte          // of SetTarget; nil: that of the client
	host   string          // of SetHost
	edits  edits
	refuse int // status; 0: not refused
}

// Head is what the client has sent. In Answer and Failed it is nil: those views have ended.
func (q *Request) Head() *httpparse.Head { return q.head }

// Path is the path as the client has sent it, without its leading slash, a view: neither decoded nor without dot segments. So it is for
// the choice of a service, and not for the question of who may have what. In Answer and Failed it is empty.
func (q *Request) Path() []byte {
	if q.head == nil {
		return nil
	}
	return q.head.Bytes(q.head.Path)
}

// Line is the request line as it was sent to the target, such as "GET /path HTTP/1.1", a view. It is empty before.
func (q *Request) Line() []byte { return q.e.out[:max(q.e.lineLen, 0)] }

// Client is the address of the client, which is not valid on a Unix socket.
func (q *Request) Client() netip.AddrPort {
	_, remote := q.e.x.Addrs()
	return remote
}

// Listener is the number that Engine.Serve was given for the listener of the connection.
func (q *Request) Listener() int { return q.e.listener }

// Target is the address of the target that the request was sent to last, or "".
func (q *Request) Target() string {
	if q.e.server == nil {
		return ""
	}
	return q.e.server.Addr()
}

// Refuse makes the proxy answer with an error response of this status (400 to 599). The request is not sent.
func (q *Request) Refuse(status int) { q.refuse = min(max(status, 400), 599) }

// Errors of the methods that change a message.
var (
	ErrTarget   = errors.New("invalid request target")
	ErrReserved = errors.New("the proxy decides on this field itself")
)

// SetTarget changes the request target: an absolute path, perhaps with a query.
func (q *Request) SetTarget(target string) error {
	if target == "" || target[0] != '/' {
		return ErrTarget
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return ErrTarget
		}
	}
	q.target = append(q.target[:0], target...)
	return nil
}

// SetHost changes the field Host, to a host with or without a port. The error for anything else is httpwrite.ErrFieldValue.
func (q *Request) SetHost(host string) error {
	if !httpparse.ValidAuthority([]byte(host)) {
		return httpwrite.ErrFieldValue
	}
	q.host = host
	return nil
}

// Set replaces all fields of this name by one, those that the proxy adds too. Fields about the connection, and Host and Content-Length, are ErrReserved.
func (q *Request) Set(name, value string) error { return q.edits.replace(name, value) }

// Drop removes all fields of this name, those that the proxy adds too.
func (q *Request) Drop(name string) error { return q.edits.remove(name) }

// Response is the head of a response as Config.Answer sees it. It is valid during the call only.
type Response struct {
	head  *httpparse.ResponseHead
	edits edits
}

// Head is what the target has sent.
func (p *Response) Head() *httpparse.ResponseHead { return p.head }

// Set replaces all fields of this name by one, as Request.Set does.
func (p *Response) Set(name, value string) error { return p.edits.replace(name, value) }

// Drop removes all fields of this name.
func (p *Response) Drop(name string) error { return p.edits.remove(name) }

// edits are changes of a head.
type edits struct {
	names []string // fields that are dropped
	lines []byte   // fields that are added
}

func (d edits) cleared() edits { return edits{d.names[:0], d.lines[:0]} }

func (d *edits) replace(name, value string) error {
	if err := httpwrite.CheckField(name, value); err != nil {
		return err
	}
	if err := d.remove(name); err != nil {
		return err
	}
	d.lines = httpwrite.AppendField(d.lines, name, value)
	return nil
}

func (d *edits) remove(name string) error {
	var none httpparse.Hop
	if none.Drop([]byte(name)) || httpparse.EqualFold(name, "Host") || httpparse.EqualFold(name, "Content-Length") {
		return ErrReserved
	}
	d.unset(name)
	d.names = append(d.names, name)
	return nil
}

// unset takes back an earlier Set of the field.
func (d *edits) unset(name string) {
	if len(d.lines) == 0 {
		return
	}
	var kept []byte
	for line := range bytes.Lines(d.lines) {
		if before, _, _ := bytes.Cut(line, []byte(":")); !httpparse.EqualFold(before, name) {
			kept = append(kept, line...)
		}
	}
	d.lines = kept
}

// sets reports whether there is a Set of the field.
func (d *edits) sets(name string) bool {
	for line := range bytes.Lines(d.lines) {
		if before, _, _ := bytes.Cut(line, []byte(":")); httpparse.EqualFold(before, name) {
			return true
		}
	}
	return false
}

// decides reports whether a function of the Config has set or dropped the field: then the proxy adds none of its own.
func (d *edits) decides(name string) bool { return len(d.names) > 0 && d.drops([]byte(name)) }

func (d *edits) drops(name []byte) bool {
	return slices.ContainsFunc(d.names, func(n string) bool { return httpparse.EqualFold(n, name) })
}
