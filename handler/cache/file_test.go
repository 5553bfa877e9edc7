package cache

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// sender is a backend that answers /slow when it is released, /big with a large response, and /file from a file.
type sender struct {
	name    string        // of the file
	release chan struct{} // closed: /slow is answered
	begun   atomic.Int64
	held    atomic.Int64 // files that were not released
}

const bigBytes = 300_000

type senderLoop struct {
	on backend.Loop
	b  *sender
}

type senderRun struct {
	x    backend.Exchange
	out  []byte
	file *sentFile
	over bool
}

type sentFile struct {
	*os.File
	b *sender
}

func (f *sentFile) Fd() int { return int(f.File.Fd()) }

func (f *sentFile) Release() {
	f.Close()
	f.b.held.Add(-1)
}

func (b *sender) Attach(l backend.Loop) (backend.LoopBackend, error) { return &senderLoop{l, b}, nil }

func (l *senderLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	r := &senderRun{x: x}
	switch string(h.Bytes(h.Path)) {
	case "slow":
		r.out = []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
		l.b.begun.Add(1)
		go func() {
			<-l.b.release
			l.on.Post(r.OutputRoom)
		}()
		return r, nil
	case "big":
		r.out = append([]byte("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"), bytes.Repeat([]byte("b"), bigBytes)...)
	default:
		f, err := os.Open(l.b.name)
		if err != nil {
			return nil, err
		}
		l.b.held.Add(1)
		r.file = &sentFile{f, l.b}
		r.out = []byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
	}
	l.on.Post(func() {
		r.OutputRoom()
		l.b.begun.Add(1)
	})
	return r, nil
}

func (r *senderRun) OutputRoom() {
	if r.over {
		return
	}
	if r.out = r.out[r.x.Output(r.out, nil, false):]; len(r.out) > 0 {
		return
	}
	r.over = true
	if r.file != nil {
		r.x.(backend.FileSender).OutputFile(r.file, 0, 10, true)
	}
	r.x.Done(backend.EndKeep)
}

func (r *senderRun) BodyRoom() (a, b []byte) { return nil, nil }
func (r *senderRun) BodyCommit(int)          {}
func (r *senderRun) BodyEnd()                {}
func (r *senderRun) BodyAbort(bool)          {}
func (r *senderRun) PeerEnd()                {}

func (r *senderRun) Cancel() {
	if r.file != nil && !r.over {
		r.file.Release()
	}
	r.over = true
}

// A file whose head the client has not taken yet waits for that.
func TestFileWaits(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		b := &sender{name: filepath.Join(t.TempDir(), "file"), release: make(chan struct{})}
		if err := os.WriteFile(b.name, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRigOf(t, rigOptions{}, b)
		var text strings.Builder
		for _, path := range []string{"/slow", "/big", "/file", "/file?again"} {
			text.WriteString("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		}
		c, br := r.dial(text.String())
		until(t, "all have begun", func() bool { return b.begun.Load() == 4 })
		if leaves {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
			until(t, "the engine has noticed that", func() bool { return r.conns() == 0 })
			close(b.release)
		} else {
			close(b.release)
			for _, want := range []string{"slow", strings.Repeat("b", bigBytes), "0123456789", "0123456789"} {
				if body := readBody(t, br); body != want {
					t.Errorf("%q instead of %q", cut(body), cut(want))
				}
			}
		}
		until(t, "no file is open", func() bool { return b.held.Load() == 0 })
	}
}
