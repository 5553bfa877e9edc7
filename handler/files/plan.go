package files

import (
	"math/rand/v2"
	"strconv"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Request is what a Plan needs of a request.
type Request struct {
	Get  bool // the method is GET: conditions and ranges count
	Head bool // the method is HEAD: conditions count
	// Conditions are the fields for that. With methods other than GET and HEAD they are not looked at: whether the method is to be
	// performed was to be decided before.
	Conditions httpparse.Conditions
	// Now is the time in nanoseconds since 1970.
	Now int64
}

// File is what is known about an open regular file.
type File struct {
	Size int64 // in bytes
	// Modified is the time of the last modification in nanoseconds since 1970. Up to 0 it counts as unknown: archives set it to 0 to
	// be reproducible.
	Modified int64
}

// Options are what the sender of a file wants. All texts must be valid field values; httpwrite.CheckField checks that.
type Options struct {
	Type         string // Content-Type; empty: there is none
	Encoding     string // Content-Encoding: the file is compressed; empty: it is not
	ETag         string // entity tag, with quotes; empty: it is made from size and time
	CacheControl string // Cache-Control; empty: there is none
	Download     string // name under which a browser saves the file; empty: the browser may show it
	Vary         bool   // the choice of the file has depended on Accept-Encoding
}

// Part is a piece of the body: text, and then Length bytes of the file from Offset.
type Part struct {
	Before         []byte
	Offset, Length int64 // Length is at least 1
}

// Plan is a response with a file. The zero value is ready for use.
type Plan struct {
	Status int
	Fields []byte // field lines, each with its CR LF, without the framing
	Length int64  // of the body, for Content-Length; httpwrite.LengthNone: there is no body and no field

	// The body: parts of the file, and text after them. For HEAD there is none.
	Parts   []Part
	Closing []byte

	ranges []httpparse.ByteRange
	text   []byte // before parts, and after them
}

// Make makes the plan for f.
func (p *Plan) Make(r *Request, f *File, o *Options) {
	*p = Plan{Status: 200, Fields: p.Fields[:0], Parts: p.Parts[:0], ranges: p.ranges[:0], text: p.text[:0]}
	v := p.validators(r, f, o)
	if r.Get || r.Head {
		switch r.Conditions.Evaluate(true, true, &v, seconds(r.Now)) {
		case httpparse.NotModified:
			p.notModified(&v, o)
			return
		case httpparse.PreconditionFailed:
			p.refuse(r, 412)
			return
		}
	}
	verdict := httpparse.RangeIgnored
	// GET is the only method for which ranges are defined (RFC 9110 §14.2).
	if r.Get && r.Conditions.RangeApplies(&v, seconds(r.Now)) {
		p.ranges, verdict = httpparse.Ranges(p.ranges, r.Conditions.Range, f.Size)
	}
	if verdict == httpparse.RangeUnsatisfiable {
		p.unsatisfiable(r, f)
		return
	}
	p.representation(r, f, o, &v)
}

// validators returns what identifies the representation. The time is never later than that of the response (RFC 9110
// §8.8.2.1).
func (p *Plan) validators(r *Request, f *File, o *Options) httpparse.Validators {
	v := httpparse.Validators{ETag: o.ETag, HasModified: f.Modified > 0, Young: young(f.Modified, r.Now)}
	v.Modified = seconds(min(f.Modified, r.Now))
	if v.ETag == "" {
		v.ETag = ETag(f, r.Now)
	}
	return v
}

func seconds(ns int64) int64 { return ns / 1e9 }

// representation is the answer with the file, or with p.ranges of it if there are any.
func (p *Plan) representation(r *Request, f *File, o *Options, v *httpparse.Validators) {
	switch len(p.ranges) {
	case 0:
		p.field("Content-Type", o.Type)
		p.Length = f.Size
		if f.Size > 0 {
			p.Parts = append(p.Parts, Part{Length: f.Size})
		}
	case 1:
		p.Status = 206
		only := p.ranges[0]
		p.field("Content-Type", o.Type)
		p.Fields = append(appendContentRange(p.Fields, only, f.Size), "\r\n"...)
		p.Length = only.Length
		p.Parts = append(p.Parts, Part{Offset: only.Offset, Length: only.Length})
	default:
		p.Status = 206
		p.multipart(f, o)
	}
	p.field("Content-Encoding", o.Encoding)
	if v.HasModified {
		p.modified(v)
	}
	p.field("ETag", v.ETag)
	p.field("Accept-Ranges", "bytes")
	p.field("X-Content-Type-Options", "nosniff")
	p.caching(o)
	if o.Download != "" {
		p.Fields = AppendDisposition(p.Fields, o.Download)
	}
	if r.Head {
		p.Parts, p.Closing = p.Parts[:0], nil
	}
}

func (p *Plan) field(name, value string) {
	if value != "" {
		p.Fields = httpwrite.AppendField(p.Fields, name, value)
	}
}

func (p *Plan) modified(v *httpparse.Validators) {
	var room [httpwrite.DateLen]byte
	p.Fields = httpwrite.AppendField(p.Fields, "Last-Modified", httpwrite.AppendDate(room[:0], v.Modified))
}

// caching adds the fields that a 304 has as well.
func (p *Plan) caching(o *Options) {
	p.field("Cache-Control", o.CacheControl)
	if o.Vary {
		p.field("Vary", "Accept-Encoding")
	}
}

// notModified is the answer to a client that has the representation (RFC 9110 §15.4.5).
func (p *Plan) notModified(v *httpparse.Validators, o *Options) {
	p.Status, p.Length = 304, httpwrite.LengthNone
	p.field("ETag", v.ETag)
	p.caching(o)
}

// refuse is an answer that is not about the file.
func (p *Plan) refuse(r *Request, status int) {
	p.Status = status
	p.field("Content-Type", "text/plain")
	p.text = httpwrite.AppendErrorText(p.text, status)
	p.Length = int64(len(p.text))
	if !r.Head {
		p.Closing = p.text
	}
}

func (p *Plan) unsatisfiable(r *Request, f *File) {
	p.Fields = append(p.Fields, "Content-Range: bytes */"...)
	p.Fields = strconv.AppendInt(p.Fields, f.Size, 10)
	p.Fields = append(p.Fields, "\r\n"...)
	p.refuse(r, 416)
}

func appendContentRange(dst []byte, r httpparse.ByteRange, size int64) []byte {
	dst = append(dst, "Content-Range: bytes "...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.Offset+r.Length-1, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, size, 10)
}

// multipart plans a body of several ranges (RFC 9110 §14.6).
func (p *Plan) multipart(f *File, o *Options) {
	boundary := newBoundary()
	p.field("Content-Type", "multipart/byteranges; boundary="+boundary)
	p.Length = 0
	heads := make([]int, 0, httpparse.RangesMax+1) // where the texts begin: p.text may move while it grows
	for i, r := range p.ranges {
		heads = append(heads, len(p.text))
		if i > 0 {
			p.text = append(p.text, "\r\n"...)
		}
		p.text = append(append(append(p.text, "--"...), boundary...), "\r\n"...)
		if o.Type != "" {
			p.text = httpwrite.AppendField(p.text, "Content-Type", o.Type)
		}
		p.text = append(appendContentRange(p.text, r, f.Size), "\r\n\r\n"...)
		p.Length += r.Length
	}
	heads = append(heads, len(p.text))
	p.text = append(append(append(p.text, "\r\n--"...), boundary...), "--\r\n"...)
	for i, r := range p.ranges {
		p.Parts = append(p.Parts, Part{Before: p.text[heads[i]:heads[i+1]], Offset: r.Offset, Length: r.Length})
	}
	p.Closing = p.text[heads[len(p.ranges)]:]
	p.Length += int64(len(p.text))
}

// newBoundary returns a delimiter that no file contains, unless someone guesses 128 bits.
func newBoundary() string {
	b := strconv.AppendUint(nil, rand.Uint64(), 16)
	return string(strconv.AppendUint(append(b, '-'), rand.Uint64(), 16))
}
