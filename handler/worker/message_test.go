package worker

import (
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
