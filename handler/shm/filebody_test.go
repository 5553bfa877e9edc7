package shm

import (
	"math"
	"reflect"
	"testing"
)

// A body in a file is read as it was made. Any change of its numbers that makes no sense is noticed.
func TestFileBody(t *testing.T) {
	b := FileBody{Loop: 1, Cell: 2, Gen: 3, Closing: []byte("end"), Parts: []FilePart{
		{Before: []byte("first"), Offset: 5, Length: 7}, {Before: []byte{}, Offset: 1 << 40, Length: 1}, {Before: []byte("x"), Offset: math.MaxInt64 - 1<<61, Length: 1 << 61}}}
	m := b.Append(nil)
	got, err := ReadFileBody(m)
	if err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("got %+v, %v", got, err)
	}
	for what, change := range map[string]func(b *FileBody){
		"no part":    func(b *FileBody) { b.Parts = nil },
		"many parts": func(b *FileBody) { b.Parts = make([]FilePart, FilePartsMax+1) },
		"sum too large": func(b *FileBody) {
			b.Parts[1], b.Parts[2] = FilePart{Length: 1 << 61}, FilePart{Length: 1 << 61}
		},
		"nothing":         func(b *FileBody) { b.Parts[1].Length = 0 },
		"negative":        func(b *FileBody) { b.Parts[1].Length = -1 },
		"negative offset": func(b *FileBody) { b.Parts[1].Offset = -1 },
		"end too large":   func(b *FileBody) { b.Parts[2].Offset++ },
	} {
		c := b
		c.Parts = append([]FilePart(nil), b.Parts...)
		change(&c)
		if _, err := ReadFileBody(c.Append(nil)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	texts := len("first") + len("x") + len("end")
	for n := range len(m) {
		if _, err := ReadFileBody(m[:n]); (err == nil) != (n >= len(m)-texts+len("firstx")) {
			t.Errorf("cut after %d bytes of %d: %v", n, len(m), err)
		}
	}
}

func FuzzFileBody(f *testing.F) {
	b := FileBody{Parts: []FilePart{{Before: []byte("a"), Length: 1}}, Closing: []byte("b")}
	f.Add(b.Append(nil))
	f.Fuzz(func(t *testing.T, m []byte) {
		b, err := ReadFileBody(m)
		if err != nil {
			return
		}
		if again := b.Append(nil); string(again) != string(m) {
			t.Errorf("%q was read as %+v, which is %q", m, b, again)
		}
	})
}
