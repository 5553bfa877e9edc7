package mounts

import "golang.org/x/sys/unix"

// Of returns 0 for a file on a local file system, and otherwise a number that stands for the file system. It may wait for the file
// system itself.
func Of(fd int) uint64 {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return 1
	}
	return of(&st)
}

func of(st *unix.Statfs_t) uint64 {
	switch int64(uint32(st.Type)) { // the type is signed, with 32 bits on some systems
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC:
		id := uint64(uint32(st.Fsid.Val[0]))<<32 | uint64(uint32(st.Fsid.Val[1]))
		return id<<1 ^ uint64(uint32(st.Type))<<8 | 1
	}
	return 0
}
