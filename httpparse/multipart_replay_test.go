package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// replayedPart is a part as multipartReplay saw it.
type replayedPart struct {
	name, file, kind string // file and kind: "-" if absent, else "=" and the value
	data             string
	complete         bool
}

// multipartReplay feeds pieces of a body to a Multipart and checks the order of its events.
type multipartReplay struct {
	t     testing.TB
	m     Multipart
	parts []replayedPart
	done  bool
	err   *Error
	taken int // bytes of data and of part heads' decoded values
}

func (r *multipartReplay) feed(piece []byte) {
	// Each piece gets a new buffer, exactly as long as its content, so that reads past the end and writes are noticed.
	in := slices.Clip(bytes.Clone(piece))
	for rest := in; r.err == nil; {
		ev, data, n, err := r.m.Next(rest)
		if n < 0 || n > len(rest) || (len(data) > 0) != (ev == MultipartData) {
			r.t.Fatalf("event %d with %d bytes of data, took %d of %d", ev, len(data), n, len(rest))
		}
		rest = rest[n:]
		if err != nil {
			r.fail(err)
			break
		}
		if ev == MultipartMore {
			if len(rest) > 0 {
				r.t.Fatalf("asks for more with %d bytes left", len(rest))
			}
			break
		}
		r.event(ev, data)
	}
	if !bytes.Equal(in, piece) {
		r.t.Fatalf("Next has changed its input from %q to %q", piece, in)
	}
}

func (r *multipartReplay) fail(err error) {
	if !errors.As(err, &r.err) {
		r.t.Fatalf("%v is not an *Error", err)
	}
}

func (r *multipartReplay) event(ev MultipartEvent, data []byte) {
	open := len(r.parts) > 0 && !r.parts[len(r.parts)-1].complete
	if r.done || open == (ev == MultipartPart || ev == MultipartDone) {
		r.t.Fatalf("event %d, with a part in progress: %v, after the end: %v", ev, open, r.done)
	}
	switch ev {
	case MultipartPart:
		p := &r.m.Part
		r.parts = append(r.parts, replayedPart{
			name: string(p.Name), file: optional(p.FileName, p.HasFileName), kind: optional(p.ContentType, p.HasContentType),
		})
		r.taken += len(p.Name) + len(p.FileName) + len(p.ContentType)
	case MultipartData:
		r.parts[len(r.parts)-1].data += string(data)
		r.taken += len(data)
	case MultipartPartEnd:
		p := &r.parts[len(r.parts)-1]
		p.complete = true
		if got := string(r.m.Part.Name); got != p.name {
			r.t.Fatalf("at the end of part %q its name is %q", p.name, got)
		}
	case MultipartDone:
		r.done = true
	default:
		r.t.Fatalf("event %d", ev)
	}
}

func optional(value []byte, has bool) string {
	if !has {
		return "-" + string(value)
	}
	return "=" + string(value)
}

func (r *multipartReplay) finish() {
	if err := r.m.End(); r.err != nil && err != error(r.err) {
		r.t.Fatalf("End returned %v after %v", err, r.err)
	} else if err != nil {
		r.fail(err)
	}
}

func (r *multipartReplay) String() string {
	var b strings.Builder
	for _, p := range r.parts {
		fmt.Fprintf(&b, "%q file%q kind%q: %q", p.name, p.file, p.kind, p.data)
		if !p.complete {
			b.WriteString(" (incomplete)")
		}
		b.WriteString("\n")
	}
	if r.err != nil {
		b.WriteString(r.err.Reason)
	} else if r.done {
		b.WriteString("done")
	}
	return b.String()
}

// multipartPieces feeds body in pieces that end at the given places, and then the rest.
func multipartPieces(t testing.TB, boundary string, body []byte, ends ...int) *multipartReplay {
	r := &multipartReplay{t: t}
	if err := r.m.Reset([]byte(boundary)); err != nil {
		t.Fatal(err)
	}
	begin := 0
	for _, end := range ends {
		r.feed(body[begin:end])
		begin = end
	}
	r.feed(body[begin:])
	r.finish()
	if r.taken > len(body) {
		t.Fatalf("%d bytes came out of %d", r.taken, len(body))
	}
	return r
}

// multipartSplit checks the split rule for multipart bodies: the result does not depend on how they are split. A long
// body is split at about 200 places.
func multipartSplit(t testing.TB, boundary string, body []byte) *multipartReplay {
	t.Helper()
	whole := multipartPieces(t, boundary, body)
	check := func(how string, got *multipartReplay) {
		t.Helper()
		if got.String() != whole.String() {
			t.Fatalf("%s, %.300q:\ngot  %.2000s\nwant %.2000s", how, body, got, whole)
		}
	}
	every := make([]int, len(body))
	for i := range every {
		every[i] = i
	}
	check("byte by byte", multipartPieces(t, boundary, body, every...))
	for cut := 0; cut <= len(body); cut += 1 + len(body)/2000*10 {
		check(fmt.Sprintf("cut at %d", cut), multipartPieces(t, boundary, body, cut))
	}
	return whole
}
