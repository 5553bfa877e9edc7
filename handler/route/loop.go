package route

import (
	"math"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
	"moonbridge/httpparse"
)

// loop is a router on one loop.
type loop struct {
	on         backend.Loop
	targets    []target // the longest path first
	next       backendPart
	normalizer files.Normalizer
}

// target is a rule on one loop.
type target struct {
	path string
	part backendPart
}

// backendPart is a backend on one loop, and what it can do besides.
type backendPart struct {
	backend.LoopBackend
	files       backend.FileBackend // nil: it takes no files
	sockets     backend.SocketBackend
	overlapping backend.Overlapping
	pressable   backend.Pressable
}

func part(b backend.Backend, l backend.Loop) (p backendPart, err error) {
	if p.LoopBackend, err = b.Attach(l); err != nil {
		return p, err
	}
	p.files, _ = p.LoopBackend.(backend.FileBackend)
	p.sockets, _ = p.LoopBackend.(backend.SocketBackend)
	p.overlapping, _ = p.LoopBackend.(backend.Overlapping)
	p.pressable, _ = p.LoopBackend.(backend.Pressable)
	return p, nil
}

// to is the backend for a request.
func (l *loop) to(h *httpparse.Head) *backendPart {
	if h.Asterisk || httpparse.MethodOf(h.Bytes(h.Method)) == httpparse.MethodConnect {
		return &l.next // no path
	}
	path, _ := l.normalizer.Normalize(files.PathOf(h))
	for i := range l.targets {
		t := &l.targets[i]
		n := len(t.path)
		if len(path) >= n && string(path[:n]) == t.path && (len(path) == n || t.path[n-1] == '/') {
			return &t.part
		}
	}
	return &l.next
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	return l.to(h).Start(x, h, listener, body, more)
}

// filesLoop is a loop whose next backend takes request bodies in files.
type filesLoop struct{ *loop }

// StartFile implements backend.FileBackend.
func (l *filesLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	to := l.to(h)
	if to.files != nil {
		return to.files.StartFile(x, h, listener, body, trailer)
	}
	return l.feed(to, x, h, listener, body, trailer)
}

// StartSocket passes a raw connection on.
func (l *loop) StartSocket(fd int, listener int, local, remote netip.AddrPort) error {
	if l.next.sockets == nil {
		return backend.ErrStopped
	}
	return l.next.sockets.StartSocket(fd, listener, local, remote)
}

// Overlap is that of the next backend: any request may be for it.
func (l *loop) Overlap() int {
	if l.next.overlapping == nil {
		return math.MaxInt
	}
	return l.next.overlapping.Overlap()
}

// Pressed implements backend.Pressable. A next backend that is none is taken to be pressed.
func (l *loop) Pressed() bool { return l.next.pressable == nil || l.next.pressable.Pressed() }
