package worker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// pairsOf has a form taken apart in one piece.
func pairsOf(b []byte) (pairs []string) {
	f := httpparse.NewForm(b, nil)
	for name, value, ok := f.Next(); ok; name, value, ok = f.Next() {
		pairs = append(pairs, fmt.Sprintf("%q=%q", name, value))
	}
	return pairs
}

// streamed has a form taken apart in pieces that end at the cuts, and checks the order of events.
func streamed(t *testing.T, b []byte, cuts ...int) (pairs []string) {
	t.Helper()
	var f formStream
	f.reset()
	var name, value string
	open := false
	feed := func(in []byte) {
		for {
			ev, data, n, err := f.Next(in)
			if err != nil || n > len(in) {
				t.Fatalf("%q: %v, %d of %d", b, err, n, len(in))
			}
			in = in[n:]
			switch {
			case ev == httpparse.MultipartPart && !open:
				open, name, value = true, string(f.part.Name), ""
			case ev == httpparse.MultipartData && open && len(data) > 0:
				value += string(data)
			case ev == httpparse.MultipartPartEnd && open && string(f.part.Name) == name:
				open = false
				pairs = append(pairs, fmt.Sprintf("%q=%q", name, value))
			case ev == httpparse.MultipartMore && len(in) == 0:
				return
			default:
				t.Fatalf("%q: event %d, part open: %v", b, ev, open)
			}
		}
	}
	at := 0
	for _, cut := range cuts {
		feed(b[at:cut])
		at = cut
	}
	feed(b[at:])
	feed([]byte{'&'})
	if open || f.End() != nil {
		t.Fatalf("%q: a part is left open", b)
	}
	return pairs
}

// checkForm compares the two ways, with cuts everywhere.
func checkForm(t *testing.T, b []byte) {
	t.Helper()
	want := strings.Join(pairsOf(b), " ")
	check := func(cuts ...int) {
		t.Helper()
		if got := strings.Join(streamed(t, b, cuts...), " "); got != want {
			t.Errorf("%q, cut at %v: %s, want %s", b, cuts, got, want)
		}
	}
	check()
	all := make([]int, len(b))
	for i := range b {
		check(i)
		all[i] = i
	}
	check(all...)
}

func TestFormStream(t *testing.T) {
	for _, s := range []string{"", "&", "&&", "=", "a", "a=", "=b", "a=b", "a=b&", "&a=b", "a&b", "a=b=c", "a+b=c+d", "%41=%42%43", "%=%", "%4=%4",
		"%4&%4", "%%41=%%41", "%4%41=%4%41", "%zz=%zz", "%4z=%4z", "a%3db=%26", "%00=%ff%FF", "+=+", "a=%2", "a=%", "%", "%4", "a%=", "a=1&a=2&b=%&c"} {
		checkForm(t, []byte(s))
	}
	checkForm(t, []byte("a="+strings.Repeat("x%41%", 200)+"&"+strings.Repeat("n+", 300)))
	// Longer than what is decoded at a time.
	for _, n := range []int{4093, 4094, 4095, 4096, 4097, 12345} {
		b := []byte("a=" + strings.Repeat("y", n) + "%41%4&b=" + strings.Repeat("%4z", n))
		if got, want := streamed(t, b), pairsOf(b); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%d bytes: different", n)
		}
	}
}

func TestFormStreamRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		b := make([]byte, r.IntN(30))
		for i := range b {
			b[i] = "&&==%%%4a4aFg+ "[r.IntN(15)]
		}
		checkForm(t, b)
	}
}

func TestFormStreamName(t *testing.T) {
	var f formStream
	for _, c := range []struct {
		n  int
		ok bool
	}{{formNameMax, true}, {formNameMax + 1, false}} {
		f.reset()
		_, _, _, err := f.Next([]byte(strings.Repeat("n", c.n) + "=v"))
		if (err == nil) != c.ok || !c.ok && err != errFormName {
			t.Errorf("name of %d bytes: %v", c.n, err)
		}
	}
}

// What a parser finds comes out of the records whole, however little room they have.
func TestRecords(t *testing.T) {
	long := strings.Repeat("n", 1000)
	body := encode(t, field{long, long, long, "\r\n--cu"}, field{name: "b", data: strings.Repeat("\r\n--cu\r", 500)}, field{name: "c"})
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
	var p postParser
	if err := p.begin(multi, []byte("multipart/form-data; boundary=cut")); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	buf := make([]byte, room)
	step := func(in []byte, end bool) {
		t.Helper()
		for {
			out := records{b: buf}
			var taken int
			var more bool
			var err error
			if end {
				more, err = p.end(&out)
			} else {
				taken, more, err = p.parse(in, &out)
			}
			if err != nil {
				t.Fatal(err)
			}
			readRecords(&b, in, buf[:out.used])
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
		case recordPart:
			b.WriteString("part " + next(w[1]))
			for _, n := range w[2:] {
				if n != noField {
					b.WriteString(" " + next(n))
				}
			}
			b.WriteString("\n")
		case recordView:
			b.Write(in[w[1]:][:w[2]])
		case recordBytes:
			b.WriteString(next(w[1]))
		case recordEnd:
			b.WriteString("\nend\n")
		}
	}
}
