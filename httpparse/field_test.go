package httpparse

import (
	"slices"
	"testing"
)

func elements(value string) []string {
	var got []string
	l := NewList([]byte(value))
	for e, ok := l.Next(); ok; e, ok = l.Next() {
		got = append(got, string(e))
	}
	return got
}

func TestList(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"only empty elements", " , ,\t,", nil},
		{"one", "a", []string{"a"}},
		{"several", "a,b , c\t", []string{"a", "b", "c"}},
		{"empty elements among others", ",a,,b,", []string{"a", "b"}},
		{"blank within an element", "a b, c", []string{"a b", "c"}},
		{"quoted comma", `a;x="b,c", d`, []string{`a;x="b,c"`, "d"}},
		{"quoted quote", `"a\",b",c`, []string{`"a\",b"`, "c"}},
		{"quoted backslash", `"a\\",b`, []string{`"a\\"`, "b"}},
		{"backslash outside quotes", `a\,b`, []string{`a\`, "b"}},
		{"unterminated quote", `a,"b,c`, []string{"a", `"b,c`}},
		{"backslash at the end", `"a\`, []string{`"a\`}},
		{"two quoted strings", `"a,b""c,d",e`, []string{`"a,b""c,d"`, "e"}},
	} {
		if got := elements(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
