package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// What the system has forgotten is not in memory. What was read is.
func TestInMemory(t *testing.T) {
	const size = 4 << 20
	f := diskFile(t, size)
	fd := int(f.Fd())
	if !InMemory(fd, 0, size) {
		t.Error("what was just written is not in memory")
	}
	if !InMemory(fd, size, 10) || !InMemory(-1, 0, 1) {
		t.Error("what cannot be told is not taken to be in memory")
	}
	unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	if InMemory(fd, 0, size) {
		t.Skip("this file system forgets nothing, or does not tell")
	}
	if err := ReadAll(fd, 0, 1); err != nil {
		t.Fatal(err)
	}
	if !InMemory(fd, 0, 1) {
		t.Error("the first byte was read, and is not in memory")
	}
	if err := ReadAll(fd, 0, size); err != nil {
		t.Fatal(err)
	}
	if !InMemory(fd, 0, size) || !InMemory(fd, 12345, 6) {
		t.Error("what was read is not in memory")
	}
}

func BenchmarkInMemory(b *testing.B) {
	f := diskFile(b, 100<<10)
	fd := int(f.Fd())
	for b.Loop() {
		InMemory(fd, 0, 100<<10)
	}
}
