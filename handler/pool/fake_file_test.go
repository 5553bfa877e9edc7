package pool

import (
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// testFile is a request body in a file.
type testFile struct {
	*os.File
	size   int64
	closed atomic.Int32
	deny   atomic.Int32 // how many times Open fails
	opened atomic.Int32
}

func newTestFile(t *testing.T, body []byte) *testFile {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.Name())
	if _, err := f.Write(body); err != nil {
		t.Fatal(err)
	}
	return &testFile{File: f, size: int64(len(body))}
}

func (f *testFile) Size() int64 { return f.size }

func (f *testFile) Open() (int, error) {
	f.opened.Add(1)
	if f.deny.Add(-1) >= 0 {
		return -1, unix.EMFILE
	}
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func (f *testFile) Close() error {
	if f.closed.Add(1) > 1 {
		return errors.New("closed twice")
	}
	return f.File.Close()
}

// isClosed waits until the file has been closed, and checks that it was once.
func (f *testFile) isClosed(t *testing.T) {
	t.Helper()
	eventually(t, "the file is closed", func() bool { return f.closed.Load() > 0 })
	if n := f.closed.Load(); n != 1 {
		t.Errorf("the file was closed %d times", n)
	}
}

// file asks for the file of the body.
func (s *served) file() *os.File {
	s.out.Flags.Or(shm.OutDescriptorWanted)
	s.signal()
	fd := <-s.p.socks
	s.out.Flags.And(^uint32(shm.OutDescriptorWanted))
	return os.NewFile(uintptr(fd), "file "+strconv.Itoa(fd))
}

// echoFile writes the flags of the head, then the body.
func (s *served) echoFile() {
	if s.head.Flags&shm.HeadBodyFile == 0 || s.in.Flags.Load()&shm.InEnd == 0 {
		s.finish(500 << shm.ResultStatusShift)
		return
	}
	f := s.file()
	defer f.Close()
	for at, b := int64(0), make([]byte, 1000); at < int64(s.head.ContentLength); {
		n, err := f.ReadAt(b[:min(int64(len(b)), int64(s.head.ContentLength)-at)], at)
		if n == 0 && err != nil || !s.write(b[:n]) {
			break
		}
		at += int64(n)
	}
	s.finish(0)
}

func init() {
	behaviours["file-echo"] = func(s *served, query string) { s.echoFile() }
	behaviours["file-unread"] = func(s *served, query string) { s.write([]byte("unread")); s.finish(0) }
	behaviours["file-late"] = func(s *served, query string) { // asks when the connection has gone
		for s.in.Flags.Load()&shm.InCancel == 0 {
			time.Sleep(time.Millisecond)
		}
		s.file().Close()
		s.finish(0)
	}
	behaviours["file-die-once"] = func(s *served, query string) { // with the file in its hands
		if marker(query) {
			s.file()
			die()
		}
		s.echoFile()
	}
	behaviours["file-twice"] = func(s *served, query string) {
		s.file().Close()
		for { // until the loop has noticed
			s.signal()
			time.Sleep(30 * time.Millisecond)
			s.out.Flags.Or(shm.OutDescriptorWanted)
			s.signal()
			time.Sleep(30 * time.Millisecond)
			s.out.Flags.And(^uint32(shm.OutDescriptorWanted))
		}
	}
	behaviours["file-hold"] = func(s *served, query string) { s.file(); s.write([]byte("has it")); s.signal(); hang() }
}
