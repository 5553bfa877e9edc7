package engine

import (
	"strconv"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"

	"golang.org/x/net/http2/hpack"
)

// h2Block is a field section while it is being received: the text that it becomes, a head of HTTP/1.1 or a trailer section.
type h2Block struct {
	stream  uint32
	end     bool // it ends the stream
	trailer bool // it follows a body
	late    bool // nothing is to become of it: its stream is closed, or will not be served
	parts   int  // CONTINUATION frames
	raw     int  // bytes as received
	size    int  // bytes of fields, as RFC 9113 §10.5.1 counts them
	limit   int  // of size

	malformed bool // RFC 9113 §8.1.1
	tooLarge  bool
	fields    bool // the fields have begun: no pseudo-header may follow

	method, path, authority, scheme string
	protocol                        string // of an extended CONNECT (RFC 8441 §4)
	seen                            uint8  // pseudo-headers
	host                            bool
	mayConnect                      bool // Limits.Connect
	connects                        bool // a CONNECT: no body follows, but a tunnel
	extended                        bool // an extended one
	key                             [httpwrite.WebSocketKeyLen]byte
	length                          int64 // Content-Length; -1: none
	order                           h2Order

	text    []byte
	cookies []byte // all of them are one field in HTTP/1.1 (RFC 9113 §8.2.3)
}

// Bits of seen.
const (
	h2SeenMethod = 1 << iota
	h2SeenPath
	h2SeenScheme
	h2SeenAuthority
	h2SeenProtocol

	h2SeenRequest = h2SeenMethod | h2SeenPath | h2SeenScheme | h2SeenAuthority
)

// add takes a field.
func (b *h2Block) add(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	switch {
	case b.size > b.limit:
		b.tooLarge = true
	case b.malformed:
	case f.Name == "":
		b.malformed = true
	case f.Name[0] == ':':
		b.malformed = b.fields || b.trailer || !b.pseudo(f.Name, f.Value)
	default:
		b.fields = true
		b.malformed = !b.field(f.Name, f.Value)
	}
}

// expansion is what is taken from the budget because the fields are much larger than the bytes that they came in: references to the
// table cost a peer one byte each, whatever they stand for. A table of fields, each used once, and Huffman codes cost nothing.
func (b *h2Block) expansion() int32 {
	return int32(max(0, b.size-2*b.raw-h2ExpansionFree) / h2ExpansionUnit)
}

// pseudo takes a pseudo-header.
func (b *h2Block) pseudo(name, value string) bool {
	var to *string
	var bit uint8
	switch name {
	case ":method":
		to, bit = &b.method, h2SeenMethod
	case ":path":
		to, bit = &b.path, h2SeenPath
	case ":scheme":
		to, bit = &b.scheme, h2SeenScheme
	case ":authority":
		to, bit = &b.authority, h2SeenAuthority
	case ":protocol":
		to, bit = &b.protocol, h2SeenProtocol
	default:
		return false
	}
	if b.seen&bit != 0 {
		return false
	}
	*to = value
	b.seen |= bit
	return true
}

// begin writes the request line and Host. It reports whether the pseudo-headers are those of a request.
func (b *h2Block) begin() bool {
	target := b.path
	switch {
	case b.seen&h2SeenProtocol != 0:
		if !b.beginConnect() {
			return false
		}
	case b.method == "CONNECT":
		if b.seen != h2SeenMethod|h2SeenAuthority {
			return false
		}
		b.connects = b.mayConnect
		target = b.authority
	case b.seen|h2SeenAuthority != h2SeenRequest, b.scheme == "":
		return false
	case b.path == "" || b.path[0] != '/' && (b.path != "*" || b.method != "OPTIONS"):
		return false
	}
	if !h2Visible(b.method) || !h2Visible(target) || !h2Visible(b.authority) && b.authority != "" {
		return false
	}
	b.text = append(append(append(b.text, b.method...), ' '), target...)
	b.text = append(b.text, " HTTP/1.1\r\n"...)
	if b.seen&h2SeenAuthority != 0 {
		b.text = append(append(append(b.text, "host: "...), b.authority...), "\r\n"...)
	}
	if b.extended {
		b.appendUpgrade()
	}
	return true
}

// h2Visible reports whether p may be a part of a request line: what else it may be is left to httpparse.
func h2Visible(p string) bool {
	for i := range len(p) {
		if p[i] <= ' ' || p[i] == 0x7f {
			return false
		}
	}
	return p != ""
}

// field takes a field that is no pseudo-header. It reports whether it may be there (RFC 9113 §8.2).
func (b *h2Block) field(name, value string) bool {
	if !b.trailer && len(b.text) == 0 && !b.begin() {
		return false
	}
	skip, ok := b.special(name, value)
	if skip || !ok {
		return ok && h2Value([]byte(value))
	}
	from := len(b.text)
	b.text = append(append(b.text, name...), ": "...)
	at := len(b.text)
	b.text = append(append(b.text, value...), "\r\n"...)
	return h2Name(b.text[from:at-2]) && h2Value(b.text[at:len(b.text)-2])
}

// special looks at the fields that mean something here. skip: it is not written.
func (b *h2Block) special(name, value string) (skip, ok bool) {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true, false
	case "te":
		return false, value == "trailers"
	case "host":
		return b.takeHost(value)
	case "cookie":
		if b.trailer {
			return true, true
		}
		if len(b.cookies) > 0 {
			b.cookies = append(b.cookies, "; "...)
		}
		b.cookies = append(b.cookies, value...)
		return true, true
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || b.length >= 0 || b.connects {
			return true, false
		}
		b.length = int64(n)
		return b.trailer, true
	case "sec-websocket-key":
		return b.extended, true
	case "priority":
		b.order = parseH2Order(value)
	}
	return false, true
}

// takeHost leaves Host out if it says the same as the pseudo-header. If it says something else, the request could be understood in
// two ways.
func (b *h2Block) takeHost(value string) (skip, ok bool) {
	if b.seen&h2SeenAuthority != 0 {
		return true, httpparse.EqualFold(value, b.authority)
	}
	skip, b.host = b.host, true
	return skip, !skip
}

func h2Name(p []byte) bool {
	for _, c := range p {
		if c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return httpparse.IsToken(p)
}

func h2Value(p []byte) bool {
	return len(p) == len(httpparse.TrimBlanks(p)) && httpparse.IsFieldValue(p)
}

// finish ends the text. chunked says that a body of unknown length follows.
func (b *h2Block) finish() {
	if !b.trailer && !b.malformed && len(b.text) == 0 {
		b.malformed = !b.begin()
	}
	if b.malformed || b.end && b.length > 0 && !b.trailer {
		b.malformed = true
		return
	}
	if len(b.cookies) > 0 {
		b.text = append(append(append(b.text, "cookie: "...), b.cookies...), "\r\n"...)
	}
	if b.chunked() {
		b.text = append(b.text, "transfer-encoding: chunked\r\n"...)
	}
	b.text = append(b.text, "\r\n"...)
}

// chunked reports whether a body of unknown length follows.
func (b *h2Block) chunked() bool { return !b.trailer && !b.end && b.length < 0 && !b.connects }
