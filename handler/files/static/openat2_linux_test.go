package static

import (
	"testing"

	"golang.org/x/sys/unix"
)

// withoutOpenat2 makes a test use os.Root, as on kernels without openat2.
func withoutOpenat2(t *testing.T) {
	noOpenat2 = true
	t.Cleanup(func() { noOpenat2 = false })
}

// makeDevice makes a device like /dev/zero, if the test may do that.
func makeDevice(t *testing.T, path string) {
	if err := unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil {
		t.Logf("no device: %v", err)
	}
}
