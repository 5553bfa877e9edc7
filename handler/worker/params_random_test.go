package worker

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// A worker finds the same pairs in forms and cookies as package httpparse.
func TestParamsRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	w := mustLoad(t, "request.lua").fork(0, small)
	const what = "\nX-What: request.post_params;request.post_params_list;request.cookies"
	for range 1500 {
		form, cookie := randomText(r, "&&==%%%4aF9fg+ \x00\xff"), randomText(r, ";;==\"\" \tabb\xff")
		want := pairsOfForm(form) + "\n" + pairsOfCookie(cookie) + "\n"
		got := w.do(request{head: "POST / HTTP/1.1\nHost: x\nContent-Type: application/x-www-form-urlencoded" + what +
			"\nCookie: " + cookie, body: form})
		if got.body() != want {
			t.Fatalf("form %q, cookie %q:\n got %q\nwant %q\n%s", form, cookie, got.body(), want, w.stderr)
		}
	}
}

// randomText returns some of the bytes in alphabet, and sometimes repeats them.
func randomText(r *rand.Rand, alphabet string) string {
	b := make([]byte, r.IntN(40))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	if r.IntN(10) == 0 {
		b = append(b, strings.Repeat(string(b), 30)...)
	}
	return string(b)
}

// pairsOfForm shows post_params and post_params_list as request.lua does.
func pairsOfForm(form string) string {
	first, sequences := map[string]string{}, map[string]map[string]string{}
	pairs := httpparse.NewForm([]byte(form), nil)
	for name, value, ok := pairs.Next(); ok; name, value, ok = pairs.Next() {
		k := string(name)
		if sequences[k] == nil {
			first[k], sequences[k] = string(value), map[string]string{}
		}
		sequences[k][strconv.Itoa(len(sequences[k])+1)] = string(value)
	}
	all := map[string]string{}
	for k, sequence := range sequences {
		all[k] = showTable(sequence)
	}
	return showTable(first) + "\n" + showTable(all)
}

func pairsOfCookie(cookie string) string {
	first := map[string]string{}
	pairs := httpparse.NewCookies([]byte(cookie))
	for name, value, ok := pairs.Next(); ok; name, value, ok = pairs.Next() {
		if _, found := first[string(name)]; !found {
			first[string(name)] = string(value)
		}
	}
	return showTable(first)
}

func showTable(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return "{" + strings.Join(parts, " ") + "}"
}
