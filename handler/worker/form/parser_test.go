package form

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// What a parser finds comes out of the records whole, however little room they have.
func TestRecords(t *testing.T) {
	long := strings.Repeat("n", 1000)
	body := "--cut\r\nContent-Disposition: form-data; name=\"" + long + "\"; filename=\"" + long + "\"\r\nContent-Type: " + long + "\r\n\r\n\r\n--cu" +
		"\r\n--cut\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n" + strings.Repeat("\r\n--cu\r", 500) +
		"\r\n--cut\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\n" +
		"\r\n--cut--\r\n"
	form := long + "=" + strings.Repeat("%41", 5000) + "&b=&c"
	for _, room := range []int{3100, 4000, 64 << 10} {
		for _, piece := range []int{1, 3, 100, 1000, 1 << 20} {
			for _, multi := range []bool{true, false} {
				in := form
				if multi {
					in = body
				}
				got := runRecords(t, multi, in, room, piece)
				want := fmt.Sprintf("part %s %[1]s %[1]s\n\r\n--cu\nend\npart b\n%s\nend\npart c\n\nend\n", long, strings.Repeat("\r\n--cu\r", 500))
				if !multi {
					want = fmt.Sprintf("part %s\n%s\nend\npart b\n\nend\npart c\n\nend\n", long, strings.Repeat("A", 5000))
				}
				if got != want {
					t.Errorf("multipart %v, room %d, pieces of %d: %.200q", multi, room, piece, got)
				}
			}
		}
	}
}

// runRecords plays what C does with records, and tells what is in them.
func runRecords(t *testing.T, multi bool, body string, room, piece int) string {
	t.Helper()
	var p Parser
	if err := p.Begin(multi, []byte("multipart/form-data; boundary=cut")); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	buf := make([]byte, room)
	step := func(in []byte, end bool) {
		t.Helper()
		for {
			out := RecordsIn(buf)
			var taken int
			var more bool
			var err error
			if end {
				more, err = p.End(&out)
			} else {
				taken, more, err = p.Parse(in, &out)
			}
			if err != nil {
				t.Fatal(err)
			}
			readRecords(&b, in, buf[:out.Used()])
			clear(in[:taken]) // as a window is overwritten
			if in = in[taken:]; !more && len(in) == 0 {
				return
			}
		}
	}
	for left := []byte(body); len(left) > 0; {
		in := append([]byte(nil), left[:min(piece, len(left))]...)
		left = left[len(in):]
		step(in, false)
	}
	step(nil, true)
	return b.String()
}

func readRecords(b *strings.Builder, in, r []byte) {
	next := func(n uint32) string {
		s := string(r[:n])
		r = r[n:]
		return s
	}
	for len(r) > 0 {
		var w [4]uint32
		for i := range w {
			w[i] = binary.NativeEndian.Uint32(r[4*i:])
		}
		r = r[recordHead:]
		switch w[0] {
		case RecordPart:
			b.WriteString("part " + next(w[1]))
			for _, n := range w[2:] {
				if n != NoField {
					b.WriteString(" " + next(n))
				}
			}
			b.WriteString("\n")
		case RecordView:
			b.Write(in[w[1]:][:w[2]])
		case RecordBytes:
			b.WriteString(next(w[1]))
		case RecordEnd:
			b.WriteString("\nend\n")
		}
	}
}

func TestParserErrors(t *testing.T) {
	const typ = "multipart/form-data; boundary=cut"
	const part = "--cut\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
	for _, tt := range []struct {
		name, contentType, body string
		room, status            int
	}{
		{"no boundary", "multipart/form-data", "", 4000, 400},
		{"no part", typ, "--cut--", 4000, 0},
		{"not closed", typ, part + "data", 4000, 400},
		{"no name", typ, "--cut\r\nA: b\r\n\r\n", 4000, 400},
		{"names do not fit", typ, "--cut\r\nContent-Disposition: form-data; name=\"" + strings.Repeat("n", 100) + "\"\r\n\r\n", 100, 431},
		{"names fit", typ, "--cut\r\nContent-Disposition: form-data; name=\"" + strings.Repeat("n", 100) + "\"\r\n\r\n\r\n--cut--", 200, 0},
		{"urlencoded", "", "a=%zz&&=", 4000, 0},
		{"urlencoded, name too long", "", strings.Repeat("n", NameBytesMax+1), 4000, 413},
	} {
		var p Parser
		err := p.Begin(tt.contentType != "", []byte(tt.contentType))
		buf := make([]byte, tt.room)
		for in, more := []byte(tt.body), true; err == nil && (more || len(in) > 0); {
			var taken int
			out := RecordsIn(buf)
			taken, more, err = p.Parse(in, &out)
			in = in[taken:]
		}
		for more := true; err == nil && more; {
			out := RecordsIn(buf)
			more, err = p.End(&out)
		}
		status := 0
		if err != nil {
			status = httpparse.StatusOf(err)
		}
		if status != tt.status {
			t.Errorf("%s: %v, status %d, want %d", tt.name, err, status, tt.status)
		}
	}
}

// A parser that has broken off in one body is ready for the next.
func TestParserAgain(t *testing.T) {
	var p Parser
	buf := make([]byte, 64)
	for range 2 {
		for _, typ := range []string{"multipart/form-data; boundary=cut", ""} {
			if err := p.Begin(typ != "", []byte(typ)); err != nil {
				t.Fatal(err)
			}
			in, want := "x=1234567890", "part x\n1234567890"
			if typ != "" {
				in, want = "--cut\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1234567890", "part x\n1234567890"
			}
			var got strings.Builder
			for left, more := []byte(in), true; more || len(left) > 0; {
				out := RecordsIn(buf)
				taken, again, err := p.Parse(left, &out)
				if err != nil {
					t.Fatal(err)
				}
				readRecords(&got, left, buf[:out.Used()])
				left, more = left[taken:], again
			}
			if got.String() != want {
				t.Errorf("%q: %q, want %q", in, got.String(), want)
			}
		}
	}
}
