package route

import (
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
	"moonbridge/httpparse"
)

// loop is a router on one loop.
type loop struct {
	backend.Wrapped // the next backend
	on              backend.Loop
	targets         []target // the longest path first
	normalizer      files.Normalizer
}

// target is a rule on one loop.
type target struct {
	path string
	part backend.Wrapped
}

// to is the backend for a request.
func (l *loop) to(h *httpparse.Head) *backend.Wrapped {
	if h.Asterisk || httpparse.MethodOf(h.Bytes(h.Method)) == httpparse.MethodConnect {
		return &l.Wrapped // no path
	}
	path, _ := l.normalizer.Normalize(files.PathOf(h))
	for i := range l.targets {
		t := &l.targets[i]
		n := len(t.path)
		if len(path) >= n && string(path[:n]) == t.path && (len(path) == n || t.path[n-1] == '/') {
			return &t.part
		}
	}
	return &l.Wrapped
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	return l.to(h).Next.Start(x, h, listener, body, more)
}

// filesLoop is a loop whose next backend takes request bodies in files.
type filesLoop struct{ *loop }

// StartFile implements backend.FileBackend.
func (l *filesLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	to := l.to(h)
	if to.Files != nil {
		return to.Files.StartFile(x, h, listener, body, trailer)
	}
	return l.feed(to, x, h, listener, body, trailer)
}

// StartSocket passes a raw connection on.
func (l *loop) StartSocket(fd int, listener int, local, remote netip.AddrPort) error {
	if l.Sockets == nil {
		return backend.ErrStopped
	}
	return l.Sockets.StartSocket(fd, listener, local, remote)
}

// StartCountedSocket is StartSocket for a connection that is counted.
func (l *loop) StartCountedSocket(fd int, listener int, local, remote netip.AddrPort, ended func()) error {
	if l.Sockets == nil {
		return backend.ErrStopped
	}
	return backend.StartCounted(l.Sockets, fd, listener, local, remote, ended)
}
