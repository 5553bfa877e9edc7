package httpparse

import (
	"slices"
	"strings"
	"testing"
)

func formItems(src string, scratch []byte) []string {
	var got []string
	f := NewForm([]byte(src), scratch)
	for key, value, ok := f.Next(); ok; key, value, ok = f.Next() {
		got = append(got, string(key), string(value))
	}
	return got
}

func TestForm(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one", "a=b", []string{"a", "b"}},
		{"several", "a=b&c=d&a=e", []string{"a", "b", "c", "d", "a", "e"}},
		{"no =", "a&b=", []string{"a", "", "b", ""}},
		{"first = splits", "a=b=c", []string{"a", "b=c"}},
		{"empty key", "=b&=", []string{"", "b", "", ""}},
		{"empty items", "&&a=b&&", []string{"a", "b"}},
		{"semicolon does not split", "a=b;c=d", []string{"a", "b;c=d"}},
		{"blanks", "a+b=+c+", []string{"a b", " c "}},
		{"encoded", "%61%3D=%26%2b%00%fF", []string{"a=", "&+\x00\xff"}},
		{"invalid sequences stay", "%=%4&a%zz=%4g%g4%%41", []string{"%", "%4", "a%zz", "%4g%g4%A"}},
		{"decoded once", "%2541", []string{"%41", ""}},
		{"other bytes stay", "\xe4=\x00", []string{"\xe4", "\x00"}},
		{"question mark is not part of the syntax", "?a=b", []string{"?a", "b"}},
	} {
		for _, scratch := range [][]byte{nil, make([]byte, 3), make([]byte, len(tt.in))} {
			if got := formItems(tt.in, scratch); !slices.Equal(got, tt.want) {
				t.Errorf("%s, scratch of %d: %q, want %q", tt.name, len(scratch), got, tt.want)
			}
		}
	}
}

func TestFormScratch(t *testing.T) {
	src := []byte("a=b&c=" + strings.Repeat("%41", 200) + "&d=+")
	f := NewForm(src, nil)
	for _, _, ok := f.Next(); ok; _, _, ok = f.Next() {
	}
	scratch := f.Scratch()
	if len(scratch) < 600 || len(scratch) > len(src) {
		t.Errorf("scratch has grown to %d bytes", len(scratch))
	}
	f = NewForm(src, scratch[:0])
	f.Next()
	if &f.Scratch()[0] != &scratch[0] {
		t.Error("scratch was not reused")
	}
	if string(src[:4]) != "a=b&" || !strings.HasSuffix(string(src), "&d=+") {
		t.Error("the source was written to")
	}
}
