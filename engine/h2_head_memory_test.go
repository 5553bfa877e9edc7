package engine

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// memoryBackend outputs responses from memory that something else writes to, as a worker can.
type memoryBackend struct {
	memory []byte
	number int
}

const memoryHead = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: aaaa\r\nX-Number: %08d\r\n\r\n"

func (b *memoryBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &memoryLoop{b, l}, nil
}

type memoryLoop struct {
	*memoryBackend
	l backend.Loop
}

func (b *memoryLoop) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.l.Post(func() {
		b.number++
		head := fmt.Appendf(nil, memoryHead, b.number)
		at := strings.Index(memoryHead, "aaaa")
		copy(b.memory, head[:at])
		copy(b.memory[at+4:], head[at+4:])
		x.Output(b.memory[:len(head)], nil, true)
		x.Done(backend.EndKeep)
	})
	return memoryRun{}, nil
}

type memoryRun struct{}

func (memoryRun) BodyRoom() (a, b []byte) { return nil, nil }
func (memoryRun) BodyCommit(int)          {}
func (memoryRun) BodyEnd()                {}
func (memoryRun) BodyAbort(bool)          {}
func (memoryRun) OutputRoom()             {}
func (memoryRun) PeerEnd()                {}
func (memoryRun) Cancel()                 {}

// A worker that changes its response while it is read does not get a head kept that means something else than it says: others that send
// the same head would be sent with what it has made of it.
func TestH2HeadOfChangingMemory(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // the race detector does not look at it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	b := &memoryBackend{memory: memory}
	word := (*atomic.Uint32)(unsafe.Pointer(&memory[strings.Index(memoryHead, "aaaa")]))
	var stop atomic.Bool
	var flips sync.WaitGroup
	flips.Go(func() {
		for !stop.Load() {
			word.Store(0x61616161)
			word.Store(0x62626262)
		}
	})
	t.Cleanup(func() {
		stop.Store(true)
		flips.Wait()
	})
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	for i := range 3000 {
		id := uint32(1 + 2*i)
		p.get(id, "/")
		p.wants(id, "200", "")
		e.onEveryLoop(func(l *loop) error {
			for _, h := range l.h2.heads.all {
				checkSentHead(t, &h)
			}
			return nil
		})
		if t.Failed() {
			return
		}
	}
}

// checkSentHead checks that what is kept of a head is what it says.
func checkSentHead(t *testing.T, h *h2SentHead) {
	if len(h.text) == 0 {
		return
	}
	text := ""
	d := hpack.NewDecoder(0, func(f hpack.HeaderField) {
		if f.Name == "set-cookie" {
			text = f.Value
		}
	})
	if _, err := d.Write(h.fields); err != nil {
		t.Errorf("%q is encoded as %x: %v", h.text, h.fields, err)
	} else if !bytes.Contains(h.text, []byte("Set-Cookie: "+text+"\r\n")) {
		t.Errorf("%q is sent with the value %q", h.text, text)
	}
}
