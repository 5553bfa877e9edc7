package httpparse

import (
	"slices"
	"testing"
)

func cookies(value string) []string {
	var got []string
	c := NewCookies([]byte(value))
	for name, value, ok := c.Next(); ok; name, value, ok = c.Next() {
		got = append(got, string(name), string(value))
	}
	return got
}

func TestCookies(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one", "a=b", []string{"a", "b"}},
		{"several", "a=b; c=d;e=f", []string{"a", "b", "c", "d", "e", "f"}},
		{"equal names", "a=1; a=2", []string{"a", "1", "a", "2"}},
		{"first = splits", "a=b=c", []string{"a", "b=c"}},
		{"empty value", "a=; b=", []string{"a", "", "b", ""}},
		{"no =", "a; b=c; d", []string{"b", "c"}},
		{"empty name", "=a; =; b=c", []string{"b", "c"}},
		{"empty pairs", ";; a=b;;", []string{"a", "b"}},
		{"whitespace", " \ta = b c \t;", []string{"a", "b c"}},
		{"quotes", `a="b c"; d=""; e="; f=x"y"`, []string{"a", "b c", "d", "", "e", `"`, "f", `x"y"`}},
		{"nothing is decoded", "a=%41+", []string{"a", "%41+"}},
	} {
		if got := cookies(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
