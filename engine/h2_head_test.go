package engine

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// A head that was sent before is found again, and means the same: the next request, one with HEAD, a client that has made its table of fields smaller, a
// head that differs, and after others have taken its place.
func TestH2HeadsAgain(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	kept := func() (n int) {
		e.onEveryLoop(func(l *loop) error { n = int(l.h2.heads.next); return nil })
		return n
	}
	p := dialH2(t, addr)
	id := uint32(1)
	get := func(n string, size int) {
		t.Helper()
		p.get(id, "/big/"+n)
		a := p.wants(id, "200", strings.Repeat("0123456789abcdef", size/16))
		if fieldsText(a.fields) != ":status=200;content-length="+n+";" {
			t.Errorf("%v", fieldsText(a.fields))
		}
		id += 2
	}
	get("1600", 1600)
	if n := kept(); n != 1 {
		t.Errorf("%d heads are kept, want 1", n)
	}
	get("1600", 1600)
	p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	get("1600", 1600)
	get("1600", 1600)
	if n := kept(); n != 1 {
		t.Errorf("%d heads are kept, want 1", n)
	}
	get("3200", 3200)
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.request("HEAD", "/big/1600"), EndStream: true, EndHeaders: true})
	p.wants(id, "200", "")
	id += 2
	for size := 160; size <= 800; size += 160 {
		get(strconv.Itoa(size), size)
	}
	get("1600", 1600)
	e.onEveryLoop(func(l *loop) error {
		for _, h := range l.h2.heads.all {
			if len(h.text) == 0 || len(h.text) > h2HeadKept {
				t.Errorf("a head of %d bytes", len(h.text))
			}
		}
		return nil
	})
}
