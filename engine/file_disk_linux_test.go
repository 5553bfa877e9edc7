package engine

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that the system has forgotten is read from the disk, and arrives whole. So does one of which the loop reads nothing.
func TestSendFileFromDisk(t *testing.T) {
	for _, mount := range []uint64{0, 1} {
		s := newFileServer(t, 3<<20)
		s.mount = mount
		want := sha256.New()
		io.Copy(io.MultiWriter(want, s.File), io.LimitReader(&countingReader{}, s.size))
		s.Sync()
		_, addr := start(t, Options{Loops: 2}, Limits{}, s)
		for range 3 {
			unix.Fadvise(s.Fd(), 0, 0, unix.FADV_DONTNEED)
			res, err := http.Get("http://" + addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			got := sha256.New()
			n, err := io.Copy(got, res.Body)
			res.Body.Close()
			if n != s.size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Fatalf("mount %d: %d bytes, %v, or other ones", mount, n, err)
			}
		}
		s.wantsReleased(t, 3)
	}
}
