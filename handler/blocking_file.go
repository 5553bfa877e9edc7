package handler

import (
	"bytes"
	"io"
	"sync"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// fileBody is a request body in a file. It has a lock of its own: the loop must not wait for a disk.
type fileBody struct {
	mu   sync.Mutex
	file backend.File // nil: closed
	at   int64        // how many bytes were read
}

// StartFile is Start for a request whose body is in a file.
func (p *blockingBackend) StartFile(x backend.Exchange, head *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	e := newBlockingExchange(p, x, head, listener, nil, false)
	e.file, e.trailer = &fileBody{file: body}, bytes.Clone(trailer)
	return p.start(e)
}

// readFile is read for a body in a file.
func (e *blockingExchange) readFile(p []byte) (int, error) {
	e.mu.Lock()
	gone, ended := e.gone, e.ended
	e.mu.Unlock()
	switch {
	case ended:
		return 0, ErrEnded
	case gone:
		return 0, ErrGone
	case len(p) == 0:
		return 0, nil
	}
	return e.file.read(p)
}

func (f *fileBody) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return 0, ErrEnded
	}
	left := f.file.Size() - f.at
	if left == 0 {
		return 0, io.EOF
	}
	n, err := f.file.ReadAt(p[:min(int64(len(p)), left)], f.at)
	f.at += int64(n)
	return n, err
}

// close gives the file back, when the handler has ended or will never run. f may be nil.
func (f *fileBody) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Close()
	f.file = nil
}

var _ backend.FileBackend = (*blockingBackend)(nil)
