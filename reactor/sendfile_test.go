package reactor

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A file is sent as far as the socket takes it, from any place on, and by both ways that there are.
func TestSendFile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for how, send := range map[string]func(socket, file int, offset, n int64) (int64, syscall.Errno){"system": SendFile, "copy": copyFile} {
		t.Run(how, func(t *testing.T) {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(ends[1])
			unix.SetNonblock(ends[0], true)
			unix.SetNonblock(ends[1], true)
			offset, end := int64(5), int64(len(content)-3)
			var got []byte
			for room := make([]byte, 100_000); offset < end; {
				n, errno := send(ends[0], int(f.Fd()), offset, end-offset)
				offset += n
				switch {
				case errno == syscall.EAGAIN:
					if n, _ := Read(ends[1], room); n > 0 {
						got = append(got, room[:n]...)
					}
				case errno != 0, n == 0:
					t.Fatal(n, errno)
				}
			}
			for room := make([]byte, 100_000); len(got) < len(content)-8; {
				n, errno := Read(ends[1], room)
				if n == 0 {
					t.Fatalf("%d bytes arrived, %v", len(got), errno)
				}
				got = append(got, room[:n]...)
			}
			if !bytes.Equal(got, content[5:len(content)-3]) {
				t.Error("other bytes arrived")
			}
			if at, err := f.Seek(0, 1); at != 0 || err != nil {
				t.Errorf("the file is at %d, %v", at, err)
			}
			if n, errno := send(ends[0], int(f.Fd()), int64(len(content)), 10); n != 0 || errno != 0 {
				t.Errorf("at the end of the file: %d, %v", n, errno)
			}
			if n, errno := send(ends[0], -1, 0, 10); n != 0 || errno != syscall.EBADF {
				t.Errorf("without a file: %d, %v", n, errno)
			}
			unix.Close(ends[0])
		})
	}
}
