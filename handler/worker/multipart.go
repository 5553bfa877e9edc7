package worker

/*
#include "request.h"
*/
import "C"

import (
	"encoding/binary"
	"unsafe"

	"moonbridge/httpparse"
)

// formParser is what takes a form apart while it arrives: *httpparse.Multipart, or a *formStream.
type formParser interface {
	Next(in []byte) (ev httpparse.MultipartEvent, data []byte, n int, err error)
	End() error
}

// postParser is a form body in progress. Lua runs on one thread, and C sees to it that one body is processed at a time,
// so there is one for the process.
type postParser struct {
	multipart httpparse.Multipart
	form      formStream
	parser    formParser
	part      *httpparse.Part // that of the parser
	waiting   bool            // the part is not recorded yet: there was no room
	rest      []byte          // data that is not recorded yet, for the same reason
}

var post postParser

var (
	errBoundary = &httpparse.Error{Status: 400, Reason: "multipart body without a boundary in its Content-Type"}
	errPartHead = &httpparse.Error{Status: 431, Reason: "names of a part too long"}
)

// begin starts with a body; contentType is not kept. multipart false: an urlencoded form.
func (p *postParser) begin(multipart bool, contentType []byte) error {
	p.waiting, p.rest = false, nil
	if !multipart {
		p.form.reset()
		p.parser, p.part = &p.form, &p.form.part
		return nil
	}
	boundary, ok := httpparse.MultipartBoundary(contentType)
	if !ok {
		return errBoundary
	}
	p.parser, p.part = &p.multipart, &p.multipart.Part
	return p.multipart.Reset(boundary)
}

// parse takes bytes of the body and puts records of what is in them to out. It ends early where out is full: then taken is
// less than len(in), or more is true. What was recorded before an error is valid.
func (p *postParser) parse(in []byte, out *records) (taken int, more bool, err error) {
	for {
		if p.waiting {
			if !out.part(p.part) {
				if out.used == 0 {
					return taken, false, errPartHead
				}
				return taken, true, nil
			}
			p.waiting = false
		}
		// There is always room for a view: what is left to another call is none, and lies in memory of the parser.
		if p.rest = out.data(in, p.rest); len(p.rest) > 0 || out.room() < recordReserve {
			return taken, true, nil
		}
		ev, data, n, err := p.parser.Next(in[taken:])
		if err != nil {
			return taken, false, err
		}
		switch ev {
		case httpparse.MultipartPart:
			p.waiting = true
		case httpparse.MultipartData:
			p.rest = data
		case httpparse.MultipartPartEnd:
			out.put(recordEnd, 0, 0, 0)
		case httpparse.MultipartMore:
			if taken+n >= len(in) {
				return taken + n, false, nil
			}
		}
		taken += n
		if ev == httpparse.MultipartDone && taken >= len(in) {
			return taken, false, nil
		}
	}
}

// end is parse for the end of the body.
func (p *postParser) end(out *records) (more bool, err error) {
	if p.parser == &p.form {
		_, more, err = p.parse([]byte{'&'}, out)
		return more, err
	}
	return false, p.parser.End()
}

const (
	recordHead = 16
	// recordReserve is room for any record without bytes.
	recordReserve = 2 * recordHead
	noField       = C.MB_POST_NONE

	recordPart  = C.MB_POST_PART
	recordView  = C.MB_POST_VIEW
	recordBytes = C.MB_POST_BYTES
	recordEnd   = C.MB_POST_END
)

// records are what C goes through: each four uint32 in the machine's order, its kind first, and bytes.
type records struct {
	b    []byte
	used int
}

func (r *records) room() int { return len(r.b) - r.used }

func (r *records) put(kind, a, b, c uint32) {
	for i, v := range [...]uint32{kind, a, b, c} {
		binary.NativeEndian.PutUint32(r.b[r.used+4*i:], v)
	}
	r.used += recordHead
}

func (r *records) bytes(b []byte) { r.used += copy(r.b[r.used:], b) }

// part records a part with its names, if there is room.
func (r *records) part(p *httpparse.Part) bool {
	if r.room() < recordHead+len(p.Name)+len(p.FileName)+len(p.ContentType) {
		return false
	}
	file, typ := uint32(noField), uint32(noField)
	if p.HasFileName {
		file = uint32(len(p.FileName))
	}
	if p.HasContentType {
		typ = uint32(len(p.ContentType))
	}
	r.put(recordPart, uint32(len(p.Name)), file, typ)
	r.bytes(p.Name)
	if p.HasFileName {
		r.bytes(p.FileName)
	}
	if p.HasContentType {
		r.bytes(p.ContentType)
	}
	return true
}

// data records bytes of a field: as a place in the input if they lie there, else themselves, which is what a parser has
// held back or decoded. It returns those for which there is no room.
func (r *records) data(in, data []byte) (rest []byte) {
	if len(data) == 0 || r.room() <= recordHead {
		return data
	}
	if off, ok := offset(in, data); ok {
		r.put(recordView, uint32(off), uint32(len(data)), 0)
		return nil
	}
	n := min(len(data), r.room()-recordHead)
	r.put(recordBytes, uint32(n), 0, 0)
	r.bytes(data[:n])
	return data[n:]
}

// offset tells where in b its part s begins; ok is false if s lies somewhere else.
func offset(b, s []byte) (off uintptr, ok bool) {
	if len(b) == 0 || len(s) == 0 {
		return 0, false
	}
	off = uintptr(unsafe.Pointer(unsafe.SliceData(s))) - uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return off, off < uintptr(len(b)) && uintptr(len(s)) <= uintptr(len(b))-off
}

// mbPostBegin starts with a form body: multipart with that Content-Type, or urlencoded.
//
//export mbPostBegin
func mbPostBegin(multipart C.int, contentType unsafe.Pointer, n C.size_t, r *C.mb_post_result) {
	*r = C.mb_post_result{}
	fail(r, post.begin(multipart != 0, unsafe.Slice((*byte)(contentType), int(n))))
}

// mbPostParse takes n bytes of the body at p, or its end, and puts records to the room bytes at out.
//
//export mbPostParse
func mbPostParse(p unsafe.Pointer, n C.size_t, end C.int, out unsafe.Pointer, room C.size_t, r *C.mb_post_result) {
	*r = C.mb_post_result{}
	to := records{b: unsafe.Slice((*byte)(out), int(room))}
	var taken int
	var more bool
	var err error
	if end == 0 {
		taken, more, err = post.parse(unsafe.Slice((*byte)(p), int(n)), &to)
	} else {
		more, err = post.end(&to)
	}
	r.taken, r.used = C.uint32_t(taken), C.uint32_t(to.used)
	if more {
		r.more = 1
	}
	fail(r, err)
}

// fail puts an error where C finds it. It is one of the parser's.
func fail(r *C.mb_post_result, err error) {
	if err == nil {
		return
	}
	status, reason := 400, "malformed"
	if e, ok := err.(*httpparse.Error); ok {
		status, reason = e.Status, e.Reason
	}
	r.status = C.uint32_t(status)
	text := unsafe.Slice((*byte)(unsafe.Pointer(&r.reason)), len(r.reason))
	text[copy(text[:len(text)-1], reason)] = 0
}
