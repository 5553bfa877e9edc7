package reactor

import (
	"bytes"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Bytes go from one socket to another through a pipe, and so does the end.
func TestSplice(t *testing.T) {
	if !CanSplice {
		if _, errno := Splice(0, 0, 1); errno != syscall.ENOSYS {
			t.Error(errno)
		}
		t.Skip("no splice(2) on this system")
	}
	p, err := OpenPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	from, in := pair(t)
	to, out := pair(t)
	for _, fd := range []int{from, in, to, out} {
		defer unix.Close(fd)
	}
	if n, errno := Splice(from, p.W, PipeBytes); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("nothing there: %d, %v", n, errno)
	}
	if n, errno := Splice(p.R, to, PipeBytes); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("empty pipe: %d, %v", n, errno)
	}
	want := bytes.Repeat([]byte("0123456789"), 3000)
	if n, errno := Write(in, want); n != len(want) || errno != 0 {
		t.Fatal(n, errno)
	}
	n, errno := Splice(from, p.W, 20_000)
	if n != 20_000 || errno != 0 {
		t.Fatal(n, errno)
	}
	got := make([]byte, 40_000)
	if k, errno := Splice(p.R, to, 15_000); k != 15_000 || errno != 0 {
		t.Fatal(k, errno)
	}
	if k, errno := ReadPipe(p.R, got[15_000:]); k != 5_000 || errno != 0 {
		t.Fatal(k, errno)
	}
	if k, errno := Read(out, got[:15_000]); k != 15_000 || errno != 0 {
		t.Fatal(k, errno)
	}
	if !bytes.Equal(got[:20_000], want[:20_000]) {
		t.Error("other bytes arrived")
	}
	ShutdownWrite(in)
	if n, errno := Splice(from, p.W, PipeBytes); n != 10_000 || errno != 0 {
		t.Errorf("the rest: %d, %v", n, errno)
	}
	if n, errno := Splice(from, p.W, PipeBytes); n != 0 || errno != 0 {
		t.Errorf("the end: %d, %v", n, errno)
	}
	unix.Close(out)
	if _, errno := Splice(p.R, to, PipeBytes); errno != syscall.EPIPE {
		t.Errorf("to a closed connection: %v", errno)
	}
}
