package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// fileServer is a backend that answers every request with one file.
type fileServer struct {
	*os.File
	size     int64
	mount    uint64
	given    atomic.Int64
	released atomic.Int64
}

func newFileServer(t *testing.T, size int64) *fileServer {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return &fileServer{File: f, size: size}
}

func (s *fileServer) Fd() int       { return int(s.File.Fd()) }
func (s *fileServer) Mount() uint64 { return s.mount }
func (s *fileServer) Release()      { s.released.Add(1) }

func (s *fileServer) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &fileServerLoop{s, l}, nil
}

type fileServerLoop struct {
	s *fileServer
	l backend.Loop
}

func (l *fileServerLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r := &fileServed{}
	l.l.Post(func() {
		if r.cancelled {
			return
		}
		l.s.given.Add(1)
		x.Output([]byte(headFor(int(l.s.size))), nil, false)
		x.(backend.FileSender).OutputFile(l.s, 0, l.s.size, true)
		x.Done(backend.EndKeep)
	})
	return r, nil
}

// fileServed is an exchange of a fileServer.
type fileServed struct{ cancelled bool }

func (r *fileServed) BodyRoom() (a, b []byte) { return nil, nil }
func (r *fileServed) BodyCommit(int)          {}
func (r *fileServed) BodyEnd()                {}
func (r *fileServed) BodyAbort(bool)          {}
func (r *fileServed) OutputRoom()             {}
func (r *fileServed) PeerEnd()                {}
func (r *fileServed) Cancel()                 { r.cancelled = true }

// wantsReleased waits until all that was given is released.
func (s *fileServer) wantsReleased(t *testing.T, n int64) {
	t.Helper()
	eventually(t, "files are released", func() bool { return s.released.Load() == n && s.given.Load() == n })
}

// A file larger than any buffer of the kernel arrives whole, several times on one connection.
func TestSendFile(t *testing.T) {
	s := newFileServer(t, 20<<20)
	want := sha256.New()
	io.Copy(io.MultiWriter(want, s.File), io.LimitReader(&countingReader{}, s.size))
	e, addr := start(t, Options{Loops: 2}, Limits{}, s)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for range 3 {
		res, err := client.Get("http://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		n, err := io.Copy(got, res.Body)
		res.Body.Close()
		if n != s.size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Fatalf("%d bytes, %v, or other ones", n, err)
		}
	}
	s.wantsReleased(t, 3)
	written := uint64(0)
	for _, l := range e.Stats() {
		written += l.BytesWritten
	}
	if n := uint64(3 * (len(headFor(int(s.size))) + int(s.size))); written != n {
		t.Errorf("%d bytes counted, want %d", written, n)
	}
}

// countingReader is an endless sequence of numbers.
type countingReader struct{ n uint64 }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.n * 0x9E3779B97F4A7C15 >> 56)
		r.n++
	}
	return len(p), nil
}

// A file that becomes shorter while it is sent ends in a reset, not in a response that seems complete.
func TestSendFileTruncated(t *testing.T) {
	s := newFileServer(t, 50<<20)
	_, addr := start(t, Options{Loops: 1}, Limits{}, s)
	p := dial(t, addr)
	p.say(get("/"))
	if _, err := io.ReadFull(p.r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	p.hearsReset()
	s.wantsReleased(t, 1)
}

// The same happens if the file never had the bytes.
func TestSendFileTooShort(t *testing.T) {
	s := newFileServer(t, 1000)
	s.size = 2000
	_, addr := start(t, Options{Loops: 1}, Limits{}, s)
	p := dial(t, addr)
	p.say(get("/"))
	p.hearsReset()
	s.wantsReleased(t, 1)
}

// Slow readers of a large file cost little memory.
func TestSendFileSlowReaders(t *testing.T) {
	const readers, bytesEach = 1000, 8 << 10
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil || files.Cur < 2*readers+300 {
		t.Skipf("%d open files are too few", files.Cur)
	}
	s := newFileServer(t, 200<<20)
	e, addr := start(t, Options{Loops: 1}, Limits{}, s)
	before := heapInUse()
	peers := make([]int, 0, readers)
	defer func() {
		for _, fd := range peers {
			unix.Close(fd)
		}
	}()
	for range readers {
		fd := rawDial(t, addr)
		peers = append(peers, fd)
		if _, err := unix.Write(fd, []byte(get("/"))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all readers have a file", func() bool { return s.given.Load() == readers })
	for _, fd := range peers { // something has arrived: all of them are being served
		if n, err := unix.Read(fd, make([]byte, 100)); n <= 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	e.onEveryLoop(func(*loop) error { return nil })
	each := (heapInUse() - before) / readers
	t.Logf("%d bytes for each slow reader", each)
	if each > bytesEach {
		t.Errorf("want at most %d", bytesEach)
	}
	if n := s.released.Load(); n != 0 {
		t.Errorf("%d files are sent already", n)
	}
	for len(peers) > 0 {
		unix.Close(peers[0])
		peers = peers[1:]
	}
	s.wantsReleased(t, readers)
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// rawDial connects with a small receive buffer, and without the cost of a net.Conn.
func rawDial(t *testing.T, addr string) int {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// The engine ends while files are being sent: connections that do not end in time are reset.
func TestSendFileShutdown(t *testing.T) {
	s := newFileServer(t, 100<<20)
	e, addr := start(t, Options{Loops: 1}, Limits{}, s)
	p := dial(t, addr)
	p.say(get("/"))
	if _, err := io.ReadFull(p.r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); err == nil {
		t.Error("the engine has ended while a file was being sent")
	}
	p.hearsReset()
	s.wantsReleased(t, 1)
}
