package pool

import (
	"fmt"
	"strings"
	"testing"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/shm"
)

// A worker's reports about its requests are believed as far as they can be true.
func TestWorkerAccess(t *testing.T) {
	var got string
	cfg := Config{RawAccess: func(pool int, e *accesslog.Entry, lost int) {
		got = fmt.Sprintf("%d %v %d %s %s %d %s %s %s %d %d %v %v %v %v %d", pool, e.Peer, e.Time.Unix(), e.Method, e.Target, e.Minor, e.Referer,
			e.UserAgent, e.ID, e.Status, e.Bytes, e.Complete, e.Queue, e.Service, e.Total, lost)
	}}
	w := &Worker{p: &Pool{index: 3}, fs: &forkServer{h: &Host{cfg: cfg}}}
	good := shm.MsgAccessBody{Time: 5e9, Service: 2e9, Total: 3e9, Bytes: 7, Status: 200, Lost: 4, Ends: [5]uint16{3, 5, 6, 7, 15},
		Minor: 1, Complete: 1, Remote: shm.Address{Family: 4, Port: 80, IP: [16]byte{1, 2, 3, 4}}}
	const text = "GET/ara12345678"
	for _, c := range []struct {
		name   string
		change func(m *shm.MsgAccessBody)
		text   string
		want   string // "": malformed
	}{
		{"good", func(*shm.MsgAccessBody) {}, text, "3 1.2.3.4:80 5 GET /a 1 r a 12345678 200 7 true 0s 2s 3s 4"},
		{"no handler", func(m *shm.MsgAccessBody) { m.Service = shm.NotServed }, text, "3 1.2.3.4:80 5 GET /a 1 r a 12345678 200 7 true -1ns -1ns 3s 4"},
		{"Unix socket", func(m *shm.MsgAccessBody) { m.Remote = shm.Address{} }, text, "3 invalid AddrPort 5 GET /a 1 r a 12345678 200 7 true 0s 2s 3s 4"},
		{"endless", func(m *shm.MsgAccessBody) { m.Total, m.Bytes = 1<<63, 1<<63 }, text,
			"3 1.2.3.4:80 5 GET /a 1 r a 12345678 200 9223372036854775807 true 0s 2s 2562047h47m16.854775807s 4"},
		{"more text", func(*shm.MsgAccessBody) {}, text + "x", ""},
		{"less text", func(*shm.MsgAccessBody) {}, text[:14], ""},
		{"far too much text", func(*shm.MsgAccessBody) {}, text + strings.Repeat("x", accesslog.PartsMax), ""},
		{"ends out of order", func(m *shm.MsgAccessBody) { m.Ends[1] = 2 }, text, ""},
		{"an id with a line break", func(*shm.MsgAccessBody) {}, "GET/ara123456\n8", ""},
		{"no status", func(m *shm.MsgAccessBody) { m.Status = 1000 }, text, ""},
		{"no family", func(m *shm.MsgAccessBody) { m.Remote.Family = 5 }, text, ""},
	} {
		m := good
		c.change(&m)
		got = ""
		err := w.logAccess(append(shm.Bytes(&m), c.text...))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if w.logAccess([]byte(text)) == nil {
		t.Error("half a message is accepted")
	}
	w.fs.h.cfg.RawAccess = nil
	if w.logAccess(append(shm.Bytes(&good), text...)) == nil {
		t.Error("an unwanted message is accepted")
	}
}
