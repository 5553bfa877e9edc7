package static

import "testing"

// withoutOpenat2 makes a test use os.Root, as on kernels without openat2.
func withoutOpenat2(t *testing.T) {
	noOpenat2 = true
	t.Cleanup(func() { noOpenat2 = false })
}
