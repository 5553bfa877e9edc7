package worker

import "C"

import (
	"unsafe"

	"moonbridge/httpwrite"
)

// What C needs of package httpwrite, so that dates and status texts are written in one place. C calls it once a second,
// and for answers that no handler gives.

// mbDate writes the time as HTTP wants it, httpwrite.DateLen bytes.
//
//export mbDate
func mbDate(now C.longlong, to unsafe.Pointer) {
	httpwrite.AppendDate(unsafe.Slice((*byte)(to), httpwrite.DateLen)[:0], int64(now))
}

// mbStatusText copies the text of a status to the room bytes at to. It returns the length.
//
//export mbStatusText
func mbStatusText(status C.int, to unsafe.Pointer, room C.size_t) C.size_t {
	return C.size_t(copy(unsafe.Slice((*byte)(to), int(room)), httpwrite.StatusText(int(status))))
}
