package engine

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// joinedServer sends the head of each response together with its file.
type joinedServer struct{ *fileServer }

func (s joinedServer) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return joinedLoop{s, l}, nil
}

type joinedLoop struct {
	s joinedServer
	l backend.Loop
}

func (l joinedLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r := &fileServed{}
	l.l.Post(func() {
		if r.cancelled {
			return
		}
		l.s.given.Add(1)
		head := headFor(int(l.s.size))
		if n := x.(backend.FileJoiner).OutputJoined([]byte(head), l.s, 0, l.s.size, true); n != len(head) {
			panic(fmt.Sprintf("%d bytes of the head are taken", n))
		}
		x.Done(backend.EndKeep)
	})
	return r, nil
}

// With TLS nothing of a response goes out in the clear, in whatever way it is sent: the client could not read it.
func TestTLSFiles(t *testing.T) {
	for _, size := range []int64{1, 40_000, 3 << 20} {
		for _, mount := range []uint64{0, 1} {
			s := newFileServer(t, size)
			s.mount = mount
			var want bytes.Buffer
			io.Copy(io.MultiWriter(&want, s.File), io.LimitReader(&countingReader{}, size))
			for name, b := range map[string]backend.Backend{"apart": s, "joined": joinedServer{s}} {
				_, addr := startTLS(t, Options{Loops: 1}, Limits{}, b, &TLS{Config: serverConfig()})
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientConfig(), MaxConnsPerHost: 1}}
				for range 3 {
					res, err := client.Get("https://" + addr + "/")
					if err != nil {
						t.Fatalf("%s, %d bytes, mount %d: %v", name, size, mount, err)
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || !bytes.Equal(got, want.Bytes()) {
						t.Fatalf("%s, mount %d: %d bytes of %d, %v", name, mount, len(got), size, err)
					}
				}
				client.CloseIdleConnections()
			}
		}
	}
}
