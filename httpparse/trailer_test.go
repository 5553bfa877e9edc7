package httpparse

import (
	"fmt"
	"strings"
	"testing"
)

func TestTrailerFields(t *testing.T) {
	const section = "A: 1\r\nb:\t two \r\nC:\r\nA: 3\r\nhost: x\r\nContent-LENGTH: 3\r\nif-Match: y\r\nAuthorization: z\r\n" +
		"Set-Cookie: a=b\r\nlocation: /\r\n\r\n"
	var got []string
	for name, value := range TrailerFields([]byte(section)) {
		got = append(got, fmt.Sprintf("%s=%s", name, value))
	}
	if s := strings.Join(got, " "); s != "A=1 b=two C= A=3" {
		t.Errorf("got %q", s)
	}
	for range TrailerFields([]byte(section)) {
		return // an iteration can be left
	}
}

// However the body is cut, the trailer section is the last bytes that the calls of Move took.
func TestTrailerLen(t *testing.T) {
	const section = "A: 1\r\nB: 2\r\n\r\n"
	const in = "3\r\nabc\r\n0\r\n" + section + "GET /"
	for cut := range in {
		var b Body
		b.Begin(&Head{Chunked: true, ContentLength: -1}, 0, &BodyLimits{Bytes: 100})
		var got strings.Builder
		room := make([]byte, 100)
		for _, part := range []string{in[:cut], in[cut:]} {
			before := b.TrailerLen()
			_, n, err := b.Move(room, nil, []byte(part))
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(part[n-(b.TrailerLen()-before) : n])
		}
		if got.String() != section || b.Missing() {
			t.Errorf("cut at %d: %q", cut, got.String())
		}
	}
}
