package worker

/*
#include "request.h"
*/
import "C"

import (
	"bytes"
	"path"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"moonbridge/handler/files"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// filePlan is kept from answer to answer, with its memory. Lua runs on one thread.
var filePlan files.Plan

// Causes, as C strings that stay.
var (
	errETag     = C.CString("the option 'etag' must be an entity tag, such as \"v1\"")
	errType     = C.CString("the option 'type' contains control characters")
	errNotRead  = C.CString("it cannot be read")
	errNoMemory = C.CString("not enough memory")
)

// mbFileAnswer decides how a file is sent.
//
//export mbFileAnswer
func mbFileAnswer(q *C.mb_file_query, a *C.mb_file_answer) {
	reset(a)
	o := files.Options{Type: fileType(q), Download: textOf(q.download)}
	if q.max_age >= 0 {
		o.CacheControl = "max-age=" + strconv.FormatInt(int64(q.max_age), 10)
	}
	var ok bool
	if o.ETag, ok = entityTag(q); !ok {
		a.error = errETag
		return
	}
	if httpwrite.CheckField("Content-Type", o.Type) != nil {
		a.error = errType
		return
	}
	f := files.File{Size: int64(q.size), Modified: int64(q.mtime)}
	if q.modified >= 0 {
		f.Modified = int64(float64(q.modified) * 1e9)
	}
	r := fileRequest(q)
	filePlan.Make(&r, &f, &o)
	putHead(q, a, filePlan.Status, filePlan.Fields)
	a.length = C.int64_t(filePlan.Length)
	switch {
	case len(filePlan.Parts) == 0:
		put(a, &a.text, filePlan.Closing)
	case filePlan.Length <= smallBody:
		putSmall(q, a, &filePlan)
	default:
		put(a, &a.message, fileBody(q, &filePlan).Append(nil))
	}
}

// smallBody is the size up to which the body is sent like that of any response: that costs less than passing a descriptor.
const smallBody = 16 << 10

// putSmall makes the body of the response a text.
func putSmall(q *C.mb_file_query, a *C.mb_file_answer, p *files.Plan) {
	for _, part := range p.Parts {
		put(a, &a.text, part.Before)
		b := make([]byte, part.Length)
		for at := 0; at < len(b); {
			n, err := syscall.Pread(int(q.fd), b[at:], part.Offset+int64(at))
			if err != nil && err != syscall.EINTR || err == nil && n == 0 {
				a.error = errNotRead
				return
			}
			at += max(n, 0)
		}
		put(a, &a.text, b)
	}
	put(a, &a.text, p.Closing)
}

func fileBody(q *C.mb_file_query, p *files.Plan) *shm.FileBody {
	b := &shm.FileBody{Loop: uint32(q.loop), Cell: uint32(q.cell), Gen: uint32(q.generation), Closing: p.Closing}
	for _, part := range p.Parts {
		b.Parts = append(b.Parts, shm.FilePart(part))
	}
	return b
}

// mbConditionAnswer decides whether a conditional request is answered without a handler's help.
//
//export mbConditionAnswer
func mbConditionAnswer(q *C.mb_file_query, a *C.mb_file_answer) {
	reset(a)
	tag, ok := entityTag(q)
	if !ok {
		a.error = errETag
		return
	}
	v := httpparse.Validators{ETag: tag, Modified: int64(q.modified), HasModified: q.modified >= 0}
	r := fileRequest(q)
	if q.conditional == 0 {
		return
	}
	status, fields, text := files.Precondition(textOf(q.method), &r.Conditions, &v, r.Now/1e9)
	switch status {
	case 304:
		putHead(q, a, 304, fields)
	case 412:
		putHead(q, a, 412, fields)
		a.length = C.int64_t(len(text))
		put(a, &a.text, text)
	}
}

// fileRequest is what decides on the answer to the request.
func fileRequest(q *C.mb_file_query) files.Request {
	r := files.Request{Now: time.Now().UnixNano()}
	if q.conditional != 0 {
		h := httpparse.Head{
			Raw:    unsafe.Slice((*byte)(q.raw), int(q.raw_len)),
			Fields: unsafe.Slice((*httpparse.Field)(unsafe.Pointer(q.fields)), int(q.fields_len)),
		}
		method := textOf(q.method)
		r.Get, r.Head, r.Conditions = method == "GET", method == "HEAD", h.Conditions()
	}
	return r
}

// fileType is the Content-Type: what the script says, in whatever way, or what the name of the file says.
func fileType(q *C.mb_file_query) string {
	if q._type.p != nil {
		return textOf(q._type)
	}
	for line := range bytes.Lines(view(q.head)) {
		if name, value, is := bytes.Cut(line, []byte(":")); is && httpparse.EqualFold(name, "Content-Type") {
			return string(bytes.TrimSpace(value))
		}
	}
	if q.name.p == nil {
		return files.TypeOf(textOf(q.download))
	}
	return files.TypeOf(path.Base(textOf(q.name)))
}

// entityTag is the tag that the script wants. Quotes are added if it has none.
func entityTag(q *C.mb_file_query) (tag string, ok bool) {
	if q.etag.p == nil {
		return "", true
	}
	tag = textOf(q.etag)
	if !httpparse.ValidETag(tag) {
		tag = `"` + tag + `"`
	}
	return tag, httpparse.ValidETag(tag)
}

// putHead makes the head of the response: that of the script, with another status, and with these field lines in place of
// those with the same names.
func putHead(q *C.mb_file_query, a *C.mb_file_answer, status int, fields []byte) {
	line, rest, _ := bytes.Cut(view(q.head), crlf)
	head := append(append([]byte(nil), line...), crlf...)
	if q.conditional != 0 && status != 200 {
		head = append(strconv.AppendInt([]byte("HTTP/1.1 "), int64(status), 10), ' ')
		head = append(append(head, httpwrite.StatusText(status)...), crlf...)
		a.status = C.int(status)
	} else {
		a.status = statusOf(line)
	}
	for line := range bytes.Lines(rest) {
		if name, _, _ := bytes.Cut(line, colon); !httpparse.HasField(fields, string(name)) {
			head = append(head, line...)
		}
	}
	put(a, &a.head, append(head, fields...))
}

var crlf, colon = []byte("\r\n"), []byte(":")

// statusOf is the status of a status line that C has made.
func statusOf(line []byte) C.int {
	n, _ := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	return C.int(n)
}

func reset(a *C.mb_file_answer) {
	a.error, a.status, a.length = nil, 0, -1
	a.head.len, a.message.len, a.text.len = 0, 0, 0
}

// put copies p to where C finds it.
func put(a *C.mb_file_answer, to *C.mb_buf, p []byte) {
	if len(p) > 0 && C.mb_buf_add(to, unsafe.Pointer(unsafe.SliceData(p)), C.size_t(len(p))) != 0 {
		a.error = errNoMemory
	}
}

func view(t C.mb_text) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(t.p)), int(t.n)) }

func textOf(t C.mb_text) string { return string(view(t)) }

// mbConnSendFile sends the body of a response on a connection that this worker serves by itself. 1: the client has gone; 2: the
// file is too short.
//
//export mbConnSendFile
func mbConnSendFile(fd C.int, message unsafe.Pointer, n C.size_t) C.int {
	b, err := shm.ReadFileBody(unsafe.Slice((*byte)(message), int(n)))
	if err != nil {
		return 2
	}
	short, sent := rawHTTP.SendFile(int(fd), &b)
	switch {
	case short:
		return 2
	case !sent:
		return 1
	}
	return 0
}
