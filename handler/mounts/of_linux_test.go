package mounts

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOf(t *testing.T) {
	seen := make(map[uint64]bool)
	for _, typ := range []int64{unix.NFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.V9FS_MAGIC} {
		for id := range int32(4) {
			st := unix.Statfs_t{Fsid: unix.Fsid{Val: [2]int32{id & 1, id >> 1}}}
			setType(&st, typ)
			m := of(&st)
			if m == 0 || seen[m] {
				t.Errorf("type %x, id %d: %x", typ, id, m)
			}
			seen[m] = true
		}
	}
	for _, typ := range []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		var st unix.Statfs_t
		if setType(&st, typ); of(&st) != 0 {
			t.Errorf("type %x is not local", typ)
		}
	}
	if Of(-1) == 0 {
		t.Error("a file of which nothing is known is local")
	}
}

// A file in memory is local.
func TestOfMemory(t *testing.T) {
	fd, err := unix.MemfdCreate("mounts", unix.MFD_CLOEXEC)
	if err != nil {
		t.Skip("the system has no memfd_create: ", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	defer f.Close()
	if m := Of(fd); m != 0 {
		t.Errorf("%x", m)
	}
}

// setType sets the type, whose width depends on the processor.
func setType(st *unix.Statfs_t, typ int64) { setInt(&st.Type, typ) }

func setInt[T int32 | uint32 | int64](to *T, v int64) { *to = T(v) }
