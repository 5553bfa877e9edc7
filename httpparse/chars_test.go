package httpparse

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestIsToken(t *testing.T) {
	const tchar = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		if got, want := IsToken([]byte{byte(c)}), strings.IndexByte(tchar, byte(c)) >= 0; got != want {
			t.Errorf("%q: %v", byte(c), got)
		}
	}
	if IsToken[[]byte](nil) || !IsToken([]byte("ab")) || IsToken([]byte("a b")) {
		t.Error("more or less than one byte")
	}
}

// TestScanText puts every byte at every position of texts of all lengths up to three words.
func TestScanText(t *testing.T) {
	for n := range 25 {
		for i := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte{'a'}, n)
				b[i] = byte(c)
				want := n
				if c != '\t' && c < ' ' || c == 0x7f {
					want = i
				}
				if got := scanText(b, 0); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
				if i > 0 && want == n {
					continue
				}
				if got := scanText(b, i); got != want {
					t.Fatalf("%q from %d: %d, want %d", b, i, got, want)
				}
			}
		}
	}
	if scanText([]byte("\t\t\t\t\t\t\t\t\t\t\x01\x00\x7f"), 0) != 10 {
		t.Error("tabs")
	}
	if !IsFieldValue(nil) || !IsFieldValue([]byte("a\t\xff")) || IsFieldValue([]byte("a\r\n")) {
		t.Error("IsFieldValue")
	}
}

func TestEqualFold(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"Content-Length", "content-length", true},
		{"CONTENT-LENGTH", "content-length", true},
		{"Content-length", "Content-Length", true},
		{"Content_Length", "content-length", false},
		{"Content\rLength", "content-length", false},
		{"Content-Lengt", "content-length", false},
		{"[x", "{x", false}, // 0x20 apart, but not letters
		{"", "", true},
		{"\u212aeep", "keep", false}, // the Kelvin sign folds to k, but not in ASCII
	} {
		for i, got := range []bool{
			EqualFold(tt.a, tt.b), EqualFold(tt.b, tt.a), EqualFold([]byte(tt.a), tt.b), EqualFold([]byte(tt.a), []byte(tt.b)),
		} {
			if got != tt.want {
				t.Errorf("%q, %q, form %d: %v", tt.a, tt.b, i, got)
			}
		}
	}
	for c := range 256 {
		if got, want := lower(byte(c)), strings.ToLower(fmt.Sprintf("%c", c&0x7f))[0]; c < 0x80 && got != want ||
			c >= 0x80 && got != byte(c) {
			t.Errorf("lower(%q) is %q", byte(c), got)
		}
	}
}
