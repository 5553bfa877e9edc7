package form

import (
	"encoding/binary"
	"unsafe"

	"moonbridge/httpparse"
)

// Kinds of records. A record is four uint32 in the machine's order, its kind and three numbers, and bytes.
const (
	// RecordPart: lengths of the name, the file name and the content type, or NoField, and their bytes.
	RecordPart = iota
	// RecordView: data of the part, given by its place in the piece and its length.
	RecordView
	// RecordBytes: data of the part, given by its length and the bytes themselves.
	RecordBytes
	// RecordEnd: of the part.
	RecordEnd
)

// NoField is the length of a field that a part does not have.
const NoField = 0xffffffff

const (
	recordHead = 16
	// recordReserve is room for any record without bytes.
	recordReserve = 2 * recordHead
)

// Records is memory that is filled with records.
type Records struct {
	b    []byte
	used int
}

// RecordsIn returns records that are written to b.
func RecordsIn(b []byte) Records { return Records{b: b} }

// Used is the number of bytes that are filled.
func (r *Records) Used() int { return r.used }

func (r *Records) room() int { return len(r.b) - r.used }

func (r *Records) put(kind, a, b, c uint32) {
	for i, v := range [...]uint32{kind, a, b, c} {
		binary.NativeEndian.PutUint32(r.b[r.used+4*i:], v)
	}
	r.used += recordHead
}

func (r *Records) bytes(b []byte) { r.used += copy(r.b[r.used:], b) }

// part records a part with its names, if there is room.
func (r *Records) part(p *httpparse.Part) bool {
	if r.room() < recordHead+len(p.Name)+len(p.FileName)+len(p.ContentType) {
		return false
	}
	file, typ := uint32(NoField), uint32(NoField)
	if p.HasFileName {
		file = uint32(len(p.FileName))
	}
	if p.HasContentType {
		typ = uint32(len(p.ContentType))
	}
	r.put(RecordPart, uint32(len(p.Name)), file, typ)
	r.bytes(p.Name)
	if p.HasFileName {
		r.bytes(p.FileName)
	}
	if p.HasContentType {
		r.bytes(p.ContentType)
	}
	return true
}

// data records data of a part: as a place in the piece if it lies there. Otherwise a parser has held it back or decoded it,
// and the bytes themselves are recorded. It returns those for which there is no room.
func (r *Records) data(in, data []byte) (rest []byte) {
	if len(data) == 0 || r.room() <= recordHead {
		return data
	}
	if off, ok := offset(in, data); ok {
		r.put(RecordView, uint32(off), uint32(len(data)), 0)
		return nil
	}
	n := min(len(data), r.room()-recordHead)
	r.put(RecordBytes, uint32(n), 0, 0)
	r.bytes(data[:n])
	return data[n:]
}

// offset is where in b its part s begins; ok is false if s lies elsewhere.
func offset(b, s []byte) (off uintptr, ok bool) {
	if len(b) == 0 || len(s) == 0 {
		return 0, false
	}
	off = uintptr(unsafe.Pointer(unsafe.SliceData(s))) - uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return off, off < uintptr(len(b)) && uintptr(len(s)) <= uintptr(len(b))-off
}
