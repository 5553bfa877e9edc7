package form

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// pairsOf parses a form in one piece.
func pairsOf(b []byte) (pairs []string) {
	f := httpparse.NewForm(b, nil)
	for name, value, ok := f.Next(); ok; name, value, ok = f.Next() {
		pairs = append(pairs, fmt.Sprintf("%q=%q", name, value))
	}
	return pairs
}

// streamed parses a form in pieces that end at the cuts, and checks the order of events.
func streamed(t *testing.T, b []byte, cuts ...int) (pairs []string) {
	t.Helper()
	var f urlencoded
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

func TestUrlencoded(t *testing.T) {
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

func TestUrlencodedRandom(t *testing.T) {
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

func TestUrlencodedName(t *testing.T) {
	var f urlencoded
	for _, c := range []struct {
		n    int
		more string
		ok   bool
	}{{NameBytesMax, "", true}, {NameBytesMax + 1, "", false}, {NameBytesMax - 1, "%41", true}, {NameBytesMax - 2, "%4", true},
		{NameBytesMax - 1, "%4", false}, {NameBytesMax, "%41", false}} {
		f.reset()
		_, _, _, err := f.Next([]byte(strings.Repeat("n", c.n) + c.more + "=v"))
		if (err == nil) != c.ok || !c.ok && err != errName {
			t.Errorf("name of %d bytes and %q: %v", c.n, c.more, err)
		}
	}
}
