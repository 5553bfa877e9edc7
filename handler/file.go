package handler

import (
	"bytes"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/handler/mounts"
	"moonbridge/httpparse"
)

// sentFile is a file that is being sent, with a descriptor of its own: the handler may close its file before the client has it.
type sentFile struct {
	fd    int
	mount uint64
	uses  atomic.Int32
}

// openFile is an *os.File, also as io.Copy may wrap it.
type openFile interface {
	io.Seeker
	syscall.Conn
	Stat() (os.FileInfo, error)
}

// newSentFile duplicates the descriptor of f. The caller has one use.
func newSentFile(f openFile) (*sentFile, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &sentFile{}
	s.uses.Store(1)
	var dupErr error
	err = c.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if s.fd, dupErr = syscall.Dup(int(fd)); dupErr == nil {
			syscall.CloseOnExec(s.fd)
			s.mount = mounts.Of(s.fd)
		}
	})
	if err == nil {
		err = os.NewSyscallError("dup", dupErr)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Fd implements backend.SentFile.
func (s *sentFile) Fd() int { return s.fd }

// Release implements backend.SentFile.
func (s *sentFile) Release() {
	switch n := s.uses.Add(-1); {
	case n > 0:
	case s.mount != 0:
		go syscall.Close(s.fd) // the file system may let it wait
	default:
		syscall.Close(s.fd)
	}
}

// Mount implements backend.MountedFile.
func (s *sentFile) Mount() uint64 { return s.mount }

// fileAt is a range of a file within a part of a response: it comes after at bytes of the part's data.
type fileAt struct {
	at        int
	file      backend.SentFile
	offset, n int64
}

// rangesMax is how many ranges of files a response has at most, well below backend.FileRangesMax. Others are copied.
const rangesMax = 32

// appendRange appends n bytes of a file to the body. It takes over one use of the file. Its errors are those of Write.
func (w *Response) appendRange(f backend.SentFile, offset, n int64) error {
	if err := w.writable(n); err != nil {
		f.Release()
		return err
	}
	w.written += n
	if w.isHead {
		f.Release()
		return nil
	}
	w.ranges++
	w.files = append(w.files, fileAt{len(w.data), f, offset, n})
	return nil
}

// copiedMax is the size up to which a range is copied: that costs less than a descriptor and a system call of its own.
const copiedMax = 16 << 10

// takesRange reports whether n bytes of a file are better passed to appendRange than copied. fields are those of the response.
func (w *Response) takesRange(n int64, fields []byte) bool {
	if w.ended {
		return false // Write tells
	}
	large := n > min(copiedMax, int64(w.base+w.dataMax-len(w.data)))
	return large && w.ranges < rangesMax && w.out.sendsFiles(rangeable(fields))
}

// rangeable is that of backend.FileChooser.
func rangeable(fields []byte) bool {
	for line := range bytes.Lines(fields) {
		name, value, _ := bytes.Cut(line, colon)
		if httpparse.EqualFold(name, "Content-Range") ||
			httpparse.EqualFold(name, "Accept-Ranges") && !httpparse.EqualFold(bytes.TrimSpace(value), "none") {
			return true
		}
	}
	return false
}

// empty reports whether the part has nothing to send.
func (p *part) empty() bool { return len(p.prefix)+len(p.data)+len(p.files) == 0 }

// fileBytes is how many bytes of files the part has.
func (p *part) fileBytes() (n int64) {
	for _, f := range p.files {
		n += f.n
	}
	return n
}

// dropFiles gives up the files of the part.
func (p *part) dropFiles() {
	dropFiles(p.files)
	clear(p.files)
	p.files = p.files[:0]
}

func dropFiles(files []fileAt) {
	for _, f := range files {
		f.file.Release()
	}
}

// outgoing is a piece of a response as the loop offers it to a connection: bytes with ranges of files between them.
type outgoing struct {
	a, b  []byte
	base  int       // where b begins, by the count of files
	files *[]fileAt // not taken yet
}

// offer offers what is left after the first off bytes, and returns how many bytes are taken then. over tells whether the
// exchange has ended within a call.
func (o *outgoing) offer(x backend.Exchange, off int, last bool, over func() bool) int {
	for total := len(o.a) + len(o.b); ; {
		end := total
		if len(*o.files) > 0 {
			end = len(o.a) + (*o.files)[0].at - o.base
		}
		if off < end {
			a, b := o.a[min(off, len(o.a)):min(end, len(o.a))], o.b[max(0, off-len(o.a)):max(0, end-len(o.a))]
			off += x.Output(a, b, last && len(*o.files) == 0)
		}
		if off < end || over() || len(*o.files) == 0 {
			return off
		}
		f := (*o.files)[0]
		*o.files = (*o.files)[1:]
		x.(backend.FileSender).OutputFile(f.file, f.offset, f.n, last && len(*o.files) == 0 && off == total)
		if over() {
			return off
		}
	}
}
