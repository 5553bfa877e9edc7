package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// In a handler that was called with a socket, request.socket is that socket: reading and writing there block.
func TestRequestSocketOfRawConnection(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/rawhttp_socket.lua")
	address := strings.TrimPrefix(field(s.wait("msg=listening", "serves=raw"), "address"), "tcp://")

	t.Run("write", func(t *testing.T) {
		p := dial(t, address)
		p.get("/write")
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		// A slow reader: far more is on the way than all buffers hold.
		buf, total := make([]byte, 256<<10), 0
		for err == nil {
			var n int
			n, err = io.ReadAtLeast(resp.Body, buf, len(buf))
			if bytes.Count(buf[:n], []byte("x")) != n {
				t.Fatal("other bytes than were written")
			}
			total += n
			time.Sleep(time.Millisecond)
		}
		if total != 20_000_000 {
			t.Errorf("%d bytes, %v", total, err)
		}
	})
	t.Run("read", func(t *testing.T) {
		p := dial(t, address)
		p.get("/read")
		if line, err := p.r.ReadString('\n'); line != "say something\n" {
			t.Fatalf("%q, %v", line, err)
		}
		p.say("hello\n")
		if line, err := p.r.ReadString('\n'); line != "you said hello\n" {
			t.Errorf("%q, %v", line, err)
		}
		p.hearsEnd()
	})
	s.stop()
	if log := s.log.String(); strings.Contains(log, "has sent no status") || strings.Contains(log, "failed: ") {
		t.Error(log)
	}
}
