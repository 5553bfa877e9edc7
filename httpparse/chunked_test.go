package httpparse

import (
	"strings"
	"testing"
)

func TestChunkedNext(t *testing.T) {
	var d Chunked
	in := []byte("3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: u\r\n\r\nrest")
	for _, want := range []struct {
		data string
		n    int
		done bool
	}{
		{"abc", 6, false}, {"de", 9, false}, {"", 13, true}, {"", 0, true},
	} {
		data, n, done, err := d.Next(in)
		if string(data) != want.data || n != want.n || done != want.done || err != nil {
			t.Fatalf("%q %d %v %v, want %+v", data, n, done, err, want)
		}
		if len(data) > 0 && &data[len(data)-1] != &in[n-1] {
			t.Fatal("data is not a view that ends at n")
		}
		in = in[n:]
	}
	if string(in) != "rest" || d.Total() != 5 {
		t.Errorf("%q is left, %d bytes in total", in, d.Total())
	}
}

func TestChunkedErrorIsFinal(t *testing.T) {
	var d Chunked
	_, n, done, err := d.Next([]byte("1\r\nxyz"))
	if n != 4 || done || err != nil {
		t.Fatal(n, done, err)
	}
	for range 2 {
		if _, n, done, err := d.Next([]byte("yz")); n != 0 || done || err != error(errChunkEnd) {
			t.Fatal(n, done, err)
		}
	}
	d.Reset()
	if _, _, done, err := d.Next([]byte("0\r\n\r\n")); !done || err != nil {
		t.Error("after Reset:", done, err)
	}
}

// TestChunkedDecode decodes into buffers of all sizes, with the input split at every position.
func TestChunkedDecode(t *testing.T) {
	const body = "3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: u\r\n\r\nrest"
	for sizeA := range 6 {
		for sizeB := range 4 {
			if sizeA+sizeB == 0 {
				continue
			}
			for cut := range len(body) {
				var d Chunked
				var got strings.Builder
				done := false
				for _, src := range []string{body[:cut], body[cut:]} {
					for len(src) > 0 && !done {
						a, b := make([]byte, sizeA), make([]byte, sizeB)
						written, consumed, end, err := d.Decode(a, b, []byte(src))
						if err != nil || consumed == 0 && !end {
							t.Fatalf("%d+%d, cut at %d: %d %d %v", sizeA, sizeB, cut, written, consumed, err)
						}
						got.WriteString(string(append(a, b...)[:written]))
						src, done = src[consumed:], end
					}
					if done && cut < len(body)-len("rest") && src != "rest" {
						t.Fatalf("%q is left", src)
					}
				}
				if got.String() != "abcdefg" || !done {
					t.Fatalf("%d+%d, cut at %d: %q %v", sizeA, sizeB, cut, got.String(), done)
				}
			}
		}
	}
}

func TestChunkedDecodeWithoutRoom(t *testing.T) {
	var d Chunked
	src := []byte("1\r\nx\r\n0\r\n\r\n")
	if written, consumed, done, err := d.Decode(nil, nil, src); written != 0 || consumed != 3 || done || err != nil {
		t.Fatal(written, consumed, done, err)
	}
	if _, consumed, _, _ := d.Decode(nil, nil, src[3:]); consumed != 0 {
		t.Fatal("data was taken without room:", consumed)
	}
	// The end of the body needs no room.
	if written, consumed, done, err := d.Decode(make([]byte, 1), nil, src[3:]); written != 1 || consumed != 8 || !done ||
		err != nil {
		t.Fatal(written, consumed, done, err)
	}
}

func TestChunkedDecodeError(t *testing.T) {
	var d Chunked
	buf := make([]byte, 8)
	written, _, done, err := d.Decode(buf[:1], buf[1:], []byte("2\r\nxy\r\nq"))
	if written != 2 || string(buf[:2]) != "xy" || done || err != error(errChunkSize) {
		t.Error(written, done, err)
	}
}

// TestChunkedBounds: everything that is not data is bounded.
func TestChunkedBounds(t *testing.T) {
	ext := func(n int) string { return ";" + strings.Repeat("e", n-1) }
	for _, tt := range []struct {
		name, in string
		want     *Error
	}{
		{"longest extension", "1" + ext(chunkExtBytesMax) + "\r\nx\r\n", nil},
		{"extension one byte longer", "1" + ext(chunkExtBytesMax+1) + "\r\nx\r\n", errChunkExtLong},
		{"blanks in an extension are counted", "1;" + strings.Repeat(" ", chunkExtBytesMax), errChunkExtLong},
		{"blanks before one, too", "1" + strings.Repeat(" ", chunkExtBytesMax+1), errChunkExtLong},
		{"all free bytes of extensions", strings.Repeat("1"+ext(1024)+"\r\nx\r\n", 16), nil},
		{"too many, with little data", strings.Repeat("1"+ext(1024)+"\r\nx\r\n", 17), errChunkExtLong},
		{"as many, with as much data", strings.Repeat("400"+ext(1024)+"\r\n"+strings.Repeat("x", 1024)+"\r\n", 100), nil},
		{"tiny chunks whose sizes have eight digits", strings.Repeat("00000001\r\nx\r\n", 100_000), nil},
		{"tiny chunks with short extensions", strings.Repeat("1"+ext(chunkExtBytesEach)+"\r\nx\r\n", 100_000), nil},
		{"tiny chunks with longer ones", strings.Repeat("1"+ext(chunkExtBytesEach+2)+"\r\nx\r\n", 100_000), errChunkExtLong},
		{"most leading zeros", strings.Repeat("0", chunkExtBytesMax) + "f\r\n", nil},
		{"one more zero", strings.Repeat("0", chunkExtBytesMax+1) + "f\r\n", errChunkExtLong},
		{"largest trailer section", "0\r\nX:" + strings.Repeat("y", trailerBytesMax-6) + "\r\n\r\n", nil},
		{"one more byte", "0\r\nX:" + strings.Repeat("y", trailerBytesMax-5) + "\r\n\r\n", errTrailerLarge},
	} {
		var d Chunked
		var err error
		for in := []byte(tt.in); len(in) > 0 && err == nil; {
			var n int
			_, n, _, err = d.Next(in)
			in = in[n:]
		}
		if tt.want == nil && err != nil || tt.want != nil && err != error(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
