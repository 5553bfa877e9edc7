package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// Peers send random requests in random pieces, and some of them vanish in the middle. Those that stay get the right responses in
// the right order. At the end no connection and no buffer is left.
func TestRandomPipelines(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	echo := handler.Func(func(w *handler.Response, r *handler.Request) {
		if string(r.Method()) == "GET" {
			w.Write(answerOf(string(r.Path())))
			return
		}
		body, err := io.ReadAll(r)
		if err == nil {
			w.Write(body)
		}
	})
	// On a busy machine requests wait long, even those of peers that have sent everything.
	patient := handler.Config{QueueTimeout: -1, GoneAfter: -1}
	for i, c := range []struct {
		name    string
		backend backend.Backend
	}{
		{"window of 64 bytes", &testBackend{window: 64}},
		{"on the loop", handler.OnLoop(echo)},
		{"blocking", patient.Blocking(echo, 8)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, addr := start(t, Options{Loops: 2}, Limits{BufferBody: 500, OutputBytes: 1000, PeerEnd: PeerEndWait}, c.backend)
			var peers sync.WaitGroup
			for j := range 16 {
				rnd := rand.New(rand.NewPCG(seed, uint64(100*i+j)))
				peers.Go(func() {
					for range 5 {
						if err := randomPeer(rnd, addr); err != nil {
							t.Error(err)
						}
					}
				})
			}
			peers.Wait()
			// A connection may be accepted only after its peer has reset it, so one look is not enough.
			held := atomic.Int64{}
			eventually(t, "connections and buffers are given back", func() bool {
				held.Store(0)
				e.onEveryLoop(func(l *loop) error {
					held.Add(int64(l.pool.InUse() + l.conns.Len() + len(l.agains.due)))
					return nil
				})
				return e.Conns() == 0 && held.Load() == 0
			})
		})
	}
}

// randomPeer finishes sending before it has its responses, so the engine must not take that for the end of the connection.
func randomPeer(rnd *rand.Rand, addr string) error {
	dialed, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c := dialed.(*net.TCPConn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(waitMost))
	var in bytes.Buffer
	var want [][]byte
	for range 1 + rnd.IntN(30) {
		body := randomBody(rnd)
		if rnd.IntN(3) > 0 {
			path := fmt.Sprintf("big/%d", len(body)/16*16)
			want = append(want, answerOf(path))
			in.WriteString(get("/" + path))
			continue
		}
		want = append(want, body)
		in.WriteString("POST /echo HTTP/1.1\r\nHost: h\r\n")
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&in, "Content-Length: %d\r\n\r\n%s", len(body), body)
			continue
		}
		in.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := 1 + rnd.IntN(len(body))
			fmt.Fprintf(&in, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		in.WriteString("0\r\n\r\n")
	}
	all := in.Bytes()
	vanishes := rnd.IntN(3) == 0
	if vanishes {
		all = all[:rnd.IntN(len(all))]
		c.SetLinger(rnd.IntN(2) - 1) // with a reset, or without
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(all) > 0 {
			n := min(len(all), 1+rnd.IntN(3000))
			if _, err := c.Write(all[:n]); err != nil {
				return
			}
			all = all[n:]
		}
		if !vanishes {
			c.CloseWrite()
		}
	}()
	if vanishes {
		<-sent
		return nil
	}
	r := bufio.NewReader(c)
	for i, body := range want {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("response %d of %d: %w", i, len(want), err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, body) {
			return fmt.Errorf("response %d of %d: %s with %d bytes, %v; want %d bytes", i, len(want), resp.Status, len(got), err, len(body))
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("after the last response: %v", err)
	}
	<-sent
	return nil
}

// answerOf is the answer to a GET of a path: that of testBackend.
func answerOf(path string) []byte {
	n, _ := strconv.Atoi(strings.TrimPrefix(path, "big/"))
	return bytes.Repeat([]byte("0123456789abcdef"), n/16)
}

// randomBody has a size around which something changes, or none.
func randomBody(rnd *rand.Rand) []byte {
	sizes := [...]int{0, 1, 63, 64, 65, 499, 500, 501, 5000, 60_000}
	body := make([]byte, sizes[rnd.IntN(len(sizes))])
	for i := range body {
		body[i] = byte('a' + rnd.IntN(26))
	}
	return body
}
