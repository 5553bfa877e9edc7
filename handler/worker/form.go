package worker

/*
#include "request.h"
*/
import "C"

import (
	"unsafe"

	"moonbridge/handler/worker/form"
	"moonbridge/httpparse"
)

// formParser is the form body in progress. Lua runs on one thread, and C makes sure that one body is processed at a time, so
// there is one parser for the process.
var formParser form.Parser

// C has numbers of its own. An array of another length would be of another type.
var (
	_ [C.MB_POST_PART]struct{}  = [form.RecordPart]struct{}{}
	_ [C.MB_POST_VIEW]struct{}  = [form.RecordView]struct{}{}
	_ [C.MB_POST_BYTES]struct{} = [form.RecordBytes]struct{}{}
	_ [C.MB_POST_END]struct{}   = [form.RecordEnd]struct{}{}
	_ [C.MB_POST_NONE]struct{}  = [form.NoField]struct{}{}
)

// mbPostBegin starts with a form body: multipart with that Content-Type, or urlencoded.
//
//export mbPostBegin
func mbPostBegin(multipart C.int, contentType unsafe.Pointer, n C.size_t, r *C.mb_post_result) {
	*r = C.mb_post_result{}
	fail(r, formParser.Begin(multipart != 0, unsafe.Slice((*byte)(contentType), int(n))))
}

// mbPostParse takes n bytes of the body at p, or its end, and writes records to the room bytes at out.
//
//export mbPostParse
func mbPostParse(p unsafe.Pointer, n C.size_t, end C.int, out unsafe.Pointer, room C.size_t, r *C.mb_post_result) {
	*r = C.mb_post_result{}
	to := form.RecordsIn(unsafe.Slice((*byte)(out), int(room)))
	var taken int
	var more bool
	var err error
	if end == 0 {
		taken, more, err = formParser.Parse(unsafe.Slice((*byte)(p), int(n)), &to)
	} else {
		more, err = formParser.End(&to)
	}
	r.taken, r.used = C.uint32_t(taken), C.uint32_t(to.Used())
	if more {
		r.more = 1
	}
	fail(r, err)
}

// fail puts an error of the parser where C finds it.
func fail(r *C.mb_post_result, err error) {
	if err == nil {
		return
	}
	r.status = C.uint32_t(httpparse.StatusOf(err))
	text := unsafe.Slice((*byte)(unsafe.Pointer(&r.reason)), len(r.reason))
	text[copy(text[:len(text)-1], err.Error())] = 0
}
