package worker

import (
	"fmt"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// A message in place of a response is marked as one together with its first byte: the loop may see it before the flag that says which one it is.
func TestMessageIsMarked(t *testing.T) {
	w := mustLoad(t, "message.lua").fork(0, small)
	for path, flag := range map[string]uint32{
		"/subscribe": shm.OutStream,
		"/accept HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==": shm.OutWebSocket,
	} {
		e := w.start(request{head: "GET " + path})
		if got := e.finish(); len(got.text) == 0 || e.out.Flags.Load()&flag == 0 || e.out.OutStart.Load() != shm.OutStartMessage {
			t.Errorf("%s: %d bytes, flags %#x, at %#x\n%s", path, len(got.text), e.out.Flags.Load(), e.out.OutStart.Load(), w.stderr)
		}
	}
}

// Fields of a handshake that are lists may have several lines (RFC 6455 §11.3).
func TestHandshakeOfManyLines(t *testing.T) {
	w := mustLoad(t, "message.lua").fork(0, small)
	e := w.start(request{head: "GET /accept HTTP/1.1\nUpgrade: other\nUpgrade: websocket\nConnection: keep-alive\nConnection: Upgrade\n" +
		"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: a\n" +
		"Sec-WebSocket-Extensions: x\nSec-WebSocket-Protocol: c, b\nSec-WebSocket-Extensions: permessage-deflate, y"})
	got, err := shm.ReadWSAccept([]byte(e.finish().text))
	if err != nil || got.Protocol != "b" || got.Extensions != "x, permessage-deflate, y" {
		t.Errorf("%v, protocol %q, extensions %q\n%s", err, got.Protocol, got.Extensions, w.stderr)
	}
}

// Others must not: which of the lines counts would be a matter of taste (RFC 6455 §11.3.1, §11.3.5).
func TestHandshakeTwice(t *testing.T) {
	w := mustLoad(t, "message.lua").fork(0, small)
	for i, c := range []struct{ more, cause string }{
		{"\nSec-WebSocket-Key: b3RoZXIgc2FtcGxlIG5vbg==", "Sec-WebSocket-Key is missing or malformed"},
		{"\nSec-WebSocket-Version: 13", "the client does not speak version 13 of WebSocket"},
	} {
		e := w.start(request{head: "GET /accept HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" + c.more})
		if e.finish(); e.out.Flags.Load()&shm.OutWebSocket != 0 {
			t.Errorf("%q is accepted", c.more)
		}
		if r := w.last(i + 1); !strings.Contains(r.message, c.cause) {
			t.Errorf("%q: %s", c.more, r.message)
		}
	}
}

// A request that is malformed gets another status than one that asks for something else.
func TestHandshakeRefused(t *testing.T) {
	w := mustLoad(t, "message.lua").fork(0, small)
	const asks = "Upgrade: websocket\nConnection: Upgrade\n"
	const key, version = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "Sec-WebSocket-Version: 13\n"
	badKey := "HTTP/1.1 400 Bad Request\nDate: X\nContent-Length: 41\n\nSec-WebSocket-Key is missing or malformed"
	upgrade := func(why string) string {
		return fmt.Sprintf("HTTP/1.1 426 Upgrade Required\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nDate: X\nContent-Length: %d\n\n%s", len(why), why)
	}
	for _, c := range []struct{ method, fields, want string }{
		{"GET", asks + version, badKey},
		{"GET", asks + version + key + key, badKey},
		{"GET", asks + version + "Sec-WebSocket-Key: x\n", badKey},
		{"GET", key + version, upgrade("the request does not ask for WebSocket")},
		{"GET", asks + key + "Sec-WebSocket-Version: 12\n", upgrade("the client does not speak version 13 of WebSocket")},
		{"PUT", asks + key + version, upgrade("the request is not a GET without a body")},
	} {
		r := w.do(request{head: c.method + " /try HTTP/1.1\n" + c.fields + "A: b"})
		w.check(r, c.want, 0)
	}
}

// What a client offers cannot make the message too long, which would be an error of the script.
func TestHandshakeOfManyExtensions(t *testing.T) {
	w := mustLoad(t, "message.lua").fork(0, small)
	e := w.start(request{head: "GET /accept HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n" + strings.Repeat("Sec-WebSocket-Extensions: "+strings.Repeat("x", 1000)+"\n", 100) + "A: b"})
	got, err := shm.ReadWSAccept([]byte(e.finish().text))
	if err != nil || got.Extensions != "" {
		t.Errorf("%v, %d bytes of extensions\n%.300s", err, len(got.Extensions), w.stderr)
	}
}
