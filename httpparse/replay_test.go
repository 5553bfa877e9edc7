package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// exchange is one request as seen by replay.
type exchange struct {
	method, target, path, query, host, body string
	fields                                  string
	minor                                   uint8
	asterisk, isHead, persistent, expect    bool
	length                                  int64
	complete                                bool // the body is complete
}

// transcript is the outcome of a connection.
type transcript struct {
	exchanges []exchange
	end       string // end, incomplete, close, reject
	err       *Error // if rejected
}

func (tr transcript) String() string {
	var b strings.Builder
	for _, x := range tr.exchanges {
		fmt.Fprintf(&b, "%+v\n", x)
	}
	fmt.Fprintf(&b, "%s %v", tr.end, tr.err)
	return b.String()
}

// status is the status of a rejection, or 0.
func (tr transcript) status() int {
	if tr.err == nil {
		return 0
	}
	return tr.err.Status
}

// replay is a minimal server: it is fed pieces of input and keeps the bytes that are not yet consumed.
type replay struct {
	lim     *Limits
	parser  Parser
	head    Head
	chunked Chunked
	left    int64 // remaining bytes of the body
	inBody  bool
	pending []byte
	out     transcript
}

func (r *replay) feed(piece []byte) {
	// Each piece gets a new buffer, exactly as long as its content, so that views of the old one and reads past the end
	// are noticed.
	r.pending = append(bytes.Clone(r.pending), piece...)
	r.pending = r.pending[:len(r.pending):len(r.pending)]
	for r.out.end == "" && r.turn() {
	}
}

// turn consumes a head or a piece of a body. It returns false if more bytes are needed.
func (r *replay) turn() bool {
	if !r.inBody {
		n, err := r.parser.Parse(&r.head, r.pending, r.lim)
		if err != nil {
			return r.reject(err)
		}
		if n == 0 {
			return false
		}
		r.begin()
		r.pending = r.pending[n:]
		return true
	}
	x := &r.out.exchanges[len(r.out.exchanges)-1]
	if r.head.Chunked {
		data, n, done, err := r.chunked.Next(r.pending)
		if err != nil {
			return r.reject(err)
		}
		x.body += string(data)
		r.pending = r.pending[n:]
		if !done {
			return len(data) > 0
		}
	} else {
		n := min(r.left, int64(len(r.pending)))
		x.body += string(r.pending[:n])
		r.pending = r.pending[n:]
		r.left -= n
		if r.left > 0 {
			return false
		}
	}
	x.complete, r.inBody = true, false
	if !r.head.Persistent {
		r.out.end = "close"
	}
	return true
}

func (r *replay) begin() {
	h := &r.head
	x := exchange{
		method: string(h.Bytes(h.Method)), target: string(h.Bytes(h.Target)),
		path: string(h.Bytes(h.Path)), query: string(h.Bytes(h.Query)),
		minor: h.Minor, asterisk: h.Asterisk, isHead: h.IsHead, persistent: h.Persistent, expect: h.ExpectContinue,
		length: h.ContentLength,
	}
	for _, f := range h.Fields {
		x.fields += fmt.Sprintf("%q=%q ", h.Name(f), h.Value(f))
	}
	if i := h.Find("host", 0); i >= 0 {
		x.host = string(h.Value(h.Fields[i]))
	}
	r.out.exchanges = append(r.out.exchanges, x)
	r.inBody, r.left = true, h.ContentLength
	r.chunked.Reset()
}

func (r *replay) reject(err error) bool {
	if !errors.As(err, &r.out.err) {
		panic("an error that is not an *Error")
	}
	r.out.end = "reject"
	return false
}

func (r *replay) finish() transcript {
	if r.out.end == "" {
		r.out.end = "end"
		// Empty lines at the end do not start a request (RFC 9112 §2.2).
		if r.inBody || len(bytes.TrimLeft(r.pending, "\r\n")) > 0 {
			r.out.end = "incomplete"
		}
	}
	return r.out
}

// pieces feeds the input in pieces that end at the given places, and then the rest.
func pieces(input []byte, lim *Limits, ends ...int) transcript {
	r := replay{lim: lim}
	done := 0
	for _, end := range ends {
		r.feed(input[done:end])
		done = end
	}
	r.feed(input[done:])
	return r.finish()
}

func bytewise(input []byte, lim *Limits) transcript {
	ends := make([]int, len(input))
	for i := range ends {
		ends[i] = i
	}
	return pieces(input, lim, ends...)
}

// split checks the split rule: the outcome does not depend on how the bytes are split. It returns that outcome.
//
// Long input is split at about 50 positions only. An error in a long head without an end may be noticed late, so the
// input is padded to twice its length. By the same rule that cannot change the error.
func split(t testing.TB, input []byte, lim *Limits) transcript {
	t.Helper()
	whole := pieces(input, lim)
	want := whole.String()
	if whole.end == "reject" && len(input) > shortHead {
		input = append(bytes.Clone(input), bytes.Repeat([]byte{'a'}, len(input))...)
	}
	step := 1
	if len(input) > 4*shortHead {
		step = len(input) / 50
	}
	for cut := 0; cut <= len(input); cut += step {
		if got := pieces(input, lim, cut).String(); got != want {
			t.Fatalf("cut at %d of %.200q:\ngot  %.2000s\nwant %.2000s", cut, input, got, want)
		}
	}
	if step == 1 {
		if got := bytewise(input, lim).String(); got != want {
			t.Fatalf("byte by byte %.200q:\ngot  %.2000s\nwant %.2000s", input, got, want)
		}
	}
	return whole
}
