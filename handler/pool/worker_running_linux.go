package pool

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// runs reports whether the worker computes, or would if it got a CPU; false: it is blocked in a system call. The main thread
// of a worker runs its handlers; the thread's state follows the name in /proc/PID/stat. Reading it takes about 5 µs, so that
// is only done when exchanges wait while workers sleep. A state that cannot be read counts as running: then workers are
// woken by time alone.
func (w *Worker) runs() bool {
	var room [64]byte
	name := append(room[:0], "/proc/"...)
	name = strconv.AppendInt(name, int64(w.pid.Load()), 10)
	name = append(name, "/stat"...)
	fd, err := unix.Open(string(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, room[:]) // "PID (name) S …", the name has at most 15 bytes
	if err != nil {
		return true
	}
	i := bytes.LastIndexByte(room[:n], ')')
	return i < 0 || i+2 >= n || room[i+2] == 'R'
}
