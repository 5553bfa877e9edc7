package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// answer is one response as seen by responseReplay.
type answer struct {
	status        int
	reason        string
	fields        [][2]string
	body, trailer string
	kind          BodyKind
	persistent    bool
}

// answers is what was found in the bytes of one connection to a server.
type answers struct {
	list []answer
	end  string // end, incomplete, open, close, tunnel, reject
	err  *Error // if rejected
}

func (a answers) String() string {
	var b strings.Builder
	for _, x := range a.list {
		fmt.Fprintf(&b, "%+q\n", fmt.Sprintf("%+v", x))
	}
	fmt.Fprintf(&b, "%s %v", a.end, a.err)
	return b.String()
}

// responseReplay is a minimal client: it is fed pieces of what a server sends and keeps the bytes that are not yet consumed.
type responseReplay struct {
	to      []Method // of the requests; MethodOther for all that follow
	parser  ResponseParser
	head    Response
	body    ResponseBody
	pending []byte
	out     answers
}

func (r *responseReplay) feed(piece []byte) {
	// Each piece gets a new buffer, as in replay.
	r.pending = append(bytes.Clone(r.pending), piece...)
	r.pending = r.pending[:len(r.pending):len(r.pending)]
	for r.out.end == "" && r.turn() {
	}
}

// turn consumes a head or a piece of a body. It returns false if more bytes are needed.
func (r *responseReplay) turn() bool {
	if r.body.Missing() {
		return r.more()
	}
	to := MethodOther
	if len(r.to) > 0 {
		to = r.to[0]
	}
	n, err := r.parser.Parse(&r.head, r.pending, to, nil)
	if err != nil {
		return r.reject(err)
	}
	if n == 0 {
		return false
	}
	r.begin()
	r.pending = r.pending[n:]
	if !r.head.Interim() {
		r.to = r.to[min(1, len(r.to)):]
		r.body.BeginFrom(&r.head)
		r.ended()
	}
	return true
}

// more consumes a piece of a body.
func (r *responseReplay) more() bool {
	before := r.body.TrailerLen()
	data, n, err := r.body.Next(r.pending)
	x := &r.out.list[len(r.out.list)-1]
	if err != nil {
		x.trailer = "" // a part of a section that is not accepted
		return r.reject(err)
	}
	x.body += string(data)
	x.trailer += string(r.pending[n-(r.body.TrailerLen()-before) : n])
	r.pending = r.pending[n:]
	r.ended()
	return n > 0
}

func (r *responseReplay) begin() {
	h := &r.head
	x := answer{status: h.Status, reason: string(h.Raw[h.Reason.Off : h.Reason.Off+h.Reason.Len]), kind: h.Body, persistent: h.Persistent}
	for _, f := range h.Fields {
		x.fields = append(x.fields, [2]string{string(h.Name(f)), string(h.Value(f))})
	}
	r.out.list = append(r.out.list, x)
}

// ended notes the end of the connection, if the response is complete and the last one.
func (r *responseReplay) ended() {
	switch {
	case r.head.Body == BodyTunnel:
		r.out.end = "tunnel"
	case !r.body.Missing() && !r.head.Persistent:
		r.out.end = "close"
	}
}

func (r *responseReplay) reject(err error) bool {
	if !errors.As(err, &r.out.err) {
		panic("an error that is not an *Error")
	}
	r.out.end = "reject"
	return false
}

func (r *responseReplay) finish() answers {
	switch {
	case r.out.end != "":
	case r.body.ToClose():
		r.out.end = "open"
	case r.body.Missing() || len(r.pending) > 0 || len(r.out.list) == 0 || r.head.Interim():
		r.out.end = "incomplete"
	default:
		r.out.end = "end"
	}
	return r.out
}

func responsePieces(input []byte, to []Method, ends ...int) answers {
	r := responseReplay{to: to}
	done := 0
	for _, end := range ends {
		r.feed(input[done:end])
		done = end
	}
	r.feed(input[done:])
	return r.finish()
}

// splitResponses is split for responses: it checks that the outcome does not depend on how the bytes are split, and returns it.
// Input must be so short that an error is noticed at once.
func splitResponses(t testing.TB, input []byte, to []Method) answers {
	t.Helper()
	whole := responsePieces(input, to)
	want := whole.String()
	ends := make([]int, len(input))
	for cut := range input {
		ends[cut] = cut
		if got := responsePieces(input, to, cut).String(); got != want {
			t.Fatalf("cut at %d of %q:\ngot  %s\nwant %s", cut, input, got, want)
		}
	}
	if got := responsePieces(input, to, ends...).String(); got != want {
		t.Fatalf("byte by byte %q:\ngot  %s\nwant %s", input, got, want)
	}
	return whole
}
