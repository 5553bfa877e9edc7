package cache

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// filesLoop is a loop whose backend takes bodies in files.
type filesLoop struct{ *loop }

// wrapped returns l as a FileBackend if l.Next is one.
func (l *loop) wrapped() backend.LoopBackend {
	if l.Files != nil {
		return filesLoop{l}
	}
	return l
}

// StartFile implements backend.FileBackend.
func (l filesLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	l.passed()
	switch string(h.Bytes(h.Method)) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return l.Files.StartFile(x, h, listener, body, trailer)
	}
	return l.startUnsafe(x, h, false, func(r *run) (backend.Running, error) {
		return l.Files.StartFile(forwarded{r}, h, listener, body, trailer)
	})
}
