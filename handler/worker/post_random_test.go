package worker

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// fieldsOf takes a body apart in one piece, and shows fields by name as post.lua does. status is not 0 if it is malformed.
func fieldsOf(body string) (shown string, status uint32) {
	var m httpparse.Multipart
	fail := func(err error) (string, uint32) { return "", uint32(err.(*httpparse.Error).Status) }
	if err := m.Reset([]byte("cut")); err != nil {
		return fail(err)
	}
	fields := map[string][]string{}
	var value []byte
	for in := []byte(body); ; {
		ev, data, n, err := m.Next(in)
		if err != nil {
			return fail(err)
		}
		in = in[n:]
		switch ev {
		case httpparse.MultipartPart:
			value = nil
		case httpparse.MultipartData:
			value = append(value, data...)
		case httpparse.MultipartPartEnd:
			fields[string(m.Part.Name)] = append(fields[string(m.Part.Name)], string(value))
		case httpparse.MultipartMore:
			if err := m.End(); err != nil {
				return fail(err)
			}
			return showFields(fields), 0
		}
	}
}

func showFields(fields map[string][]string) string {
	var all []string
	for name, values := range fields {
		for i, v := range values {
			values[i] = fmt.Sprintf("%d=%s", i+1, v)
		}
		all = append(all, name+"={"+strings.Join(values, " ")+"}")
	}
	sort.Strings(all)
	return "{" + strings.Join(all, " ") + "}"
}

// Bodies made of what multipart bodies are made of, malformed ones among them: a worker finds in pieces what the parser
// finds in the whole.
func TestPostRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	head := "Content-Disposition: form-data; name="
	words := []string{"\r\n--cut\r\n" + head + "a\r\n\r\n", "\r\n--cut\r\n" + head + "b; filename=f\r\nContent-Type: text/plain\r\n\r\n",
		"\r\n--cut", "--cut", "\r\n", "\r", "\n", "--", "-", " ", "x", text(100), text(700), "\r\n--cut\r\n"}
	valid := 0
	for _, window := range []int{512, 1024} {
		w := mustLoad(t, "post.lua").fork(0, windows(window, 64<<10))
		for range 1500 {
			var b strings.Builder
			b.WriteString("--cut\r\n" + head + "a\r\n\r\n")
			for range r.IntN(25) {
				word := words[r.IntN(len(words))]
				if r.IntN(3) > 0 {
					word = words[r.IntN(2)] + words[3+r.IntN(10)]
				}
				b.WriteString(word)
			}
			if r.IntN(20) > 0 {
				b.WriteString("\r\n--cut--")
			}
			want, status := fieldsOf(b.String())
			if got := w.post("/tables", multipartType, b.String()); status != 0 {
				if got.result&^shm.ResultClose != shm.ResultDone|status<<shm.ResultStatusShift {
					t.Fatalf("%q: result %#x, want status %d\n%s", b.String(), got.result, status, w.stderr)
				}
			} else if valid++; !strings.Contains(got.body(), "\nlist "+want+"\nmetadata {") {
				t.Fatalf("%q: result %#x, %q, want %q\n%s", b.String(), got.result, got.body(), want, w.stderr)
			}
		}
	}
	if valid < 300 || valid > 2900 {
		t.Errorf("%d of 3000 bodies are valid: that says little", valid)
	}
}
