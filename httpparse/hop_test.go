package httpparse

import (
	"slices"
	"strings"
	"testing"
)

func TestHop(t *testing.T) {
	for _, tt := range []struct{ name, lines, want string }{
		{"none named", "Host: a\r\nAccept: b\r\nCookie: c\r\n", "Host Accept Cookie"},
		{"always", "Connection: close\r\nKeep-Alive: a\r\nPROXY-CONNECTION: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nUpgrade: a\r\n" +
			"Proxy-Authenticate: a\r\nProxy-Authorization: a\r\nTEE: a\r\nTrailer: a\r\nVia: a\r\n", "TEE Trailer Via"},
		{"named", "X-One: a\r\nConnection: x-one, Upgrade\r\nX-Two: b\r\nX-Three: c\r\nConnection: keep-alive,,\tX-TWO \r\n", "X-Three"},
		{"named and repeated", "A: 1\r\nB: 2\r\na: 3\r\nConnection: A\r\n", "B"},
		{"named but missing", "A: 1\r\nConnection: B, close\r\n", "A"},
		{"framing and routing stay", "Host: a\r\nContent-Length: 0\r\nConnection: host, content-length\r\n", "Host Content-Length"},
		{"sixteen", "Connection: close, 1, 2, 3, 4, 5, 6, 7, 8, keep-alive\r\nConnection: 9,a,b,c,d,e,f,g\r\nG: h\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, fields := fieldsOf(t, tt.lines)
			var h Hop
			if err := h.Reset(raw, fields); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(kept(&h, raw, fields), " "); got != tt.want {
				t.Errorf("kept %q, want %q", got, tt.want)
			}
		})
	}
}

// fieldsOf parses field lines. The line that ends them is added.
func fieldsOf(t testing.TB, lines string) ([]byte, []Field) {
	t.Helper()
	raw := []byte(lines + "\r\n")
	var s special
	fields, end, err := parseFields(nil, raw, 0, DefaultFields, &s)
	if err != nil || end == 0 {
		t.Fatalf("%q: %d, %v", lines, end, err)
	}
	return raw, fields
}

// kept returns the names of the fields that are passed on.
func kept(h *Hop, raw []byte, fields []Field) (names []string) {
	for _, f := range fields {
		if name := raw[f.NameOff : f.NameOff+f.NameLen]; !h.Drop(name) {
			names = append(names, string(name))
		}
	}
	return names
}

func TestHopOptionsMax(t *testing.T) {
	var h Hop
	raw, fields := fieldsOf(t, "Connection: "+strings.Repeat("a,", hopOptionsMax)+"\r\nConnection: close, b\r\n")
	if err := h.Reset(raw, fields); err != errOptions {
		t.Errorf("got %v", err)
	}
	raw, fields = fieldsOf(t, "A: b\r\n")
	if err := h.Reset(raw, fields); err != nil || h.Drop([]byte("a")) {
		t.Errorf("options of the message before it: %v", err)
	}
}

func TestHopDoesNotAllocate(t *testing.T) {
	raw, fields := fieldsOf(t, "Connection: Upgrade, X\r\nUpgrade: websocket\r\nX: y\r\nHost: a\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var h Hop
		if h.Reset(raw, fields) != nil || !h.Drop([]byte("x")) {
			t.Fatal("x is kept")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzHop compares Drop with the rules spelled out over maps.
func FuzzHop(f *testing.F) {
	f.Add("Connection: a, close\r\nA: b\r\n")
	f.Add("Connection: host\r\nHost: b\r\nTE: c\r\n")
	f.Fuzz(func(t *testing.T, lines string) {
		var s special
		raw := []byte(lines + "\r\n")
		fields, end, err := parseFields(nil, raw, 0, DefaultFields, &s)
		if err != nil || end == 0 {
			return
		}
		var h Hop
		want, few := keptByMap(raw, fields)
		if e := h.Reset(raw, fields); (e == nil) != few {
			t.Fatalf("%q: %v", lines, e)
		} else if e != nil {
			return
		}
		if got := kept(&h, raw, fields); !slices.Equal(got, want) {
			t.Fatalf("%q: kept %q, want %q", lines, got, want)
		}
	})
}

func keptByMap(raw []byte, fields []Field) (names []string, few bool) {
	drop := map[string]bool{"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "transfer-encoding": true,
		"upgrade": true, "proxy-authenticate": true, "proxy-authorization": true}
	n := 0
	for _, f := range fields {
		if !strings.EqualFold(text(raw, f.NameOff, f.NameLen), "Connection") {
			continue
		}
		l := NewList(raw[f.ValueOff : f.ValueOff+f.ValueLen])
		for e, ok := l.Next(); ok; e, ok = l.Next() {
			if option := asciiLower(string(e)); option != "close" && option != "keep-alive" {
				drop[option] = option != "host" && option != "content-length"
				n++
			}
		}
	}
	for _, f := range fields {
		if name := text(raw, f.NameOff, f.NameLen); !drop[asciiLower(name)] {
			names = append(names, name)
		}
	}
	return names, n <= hopOptionsMax
}

func text(raw []byte, off, size uint32) string { return string(raw[off : off+size]) }

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}
