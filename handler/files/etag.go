package files

import (
	"strconv"
	"time"
)

// etagLen is the longest entity tag: two numbers of 16 digits.
const etagLen = len(`W/"0123456789abcdef-0123456789abcdef"`)

// youngAge is the age of a file below which another change may leave its time of modification as it is. Linux takes the time from
// a clock that advances every few milliseconds; other file systems store seconds, and FAT two of them.
const youngAge = 2 * time.Second

// young reports whether a file has been modified so recently, or in the future.
func young(modified, now int64) bool { return now-modified < int64(youngAge) }

// ETag returns the entity tag of a file. It is weak as long as another change might not change it.
func ETag(f *File, now int64) string {
	var room [etagLen]byte
	return string(appendETag(room[:0], f, now))
}

// appendETag appends the entity tag, made of time and size. The number of the inode is not in it: the same files on several
// servers, or copied to another disk, should have the same tags.
func appendETag(dst []byte, f *File, now int64) []byte {
	if young(f.Modified, now) {
		dst = append(dst, "W/"...)
	}
	dst = strconv.AppendUint(append(dst, '"'), uint64(f.Modified), 16)
	dst = strconv.AppendUint(append(dst, '-'), uint64(f.Size), 16)
	return append(dst, '"')
}
