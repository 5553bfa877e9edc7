package pool

import (
	"bytes"
	"os"
	"strconv"
)

// runs reports whether the worker computes, or would if it got a CPU; false: it is blocked in a system call. The main thread
// of a worker runs its handlers; the thread's state follows the name in /proc/PID/stat. Reading it takes about 2 µs (5 µs if it had to
// be opened each time), so that is only done when exchanges wait while workers sleep. A state that cannot be read counts as running: then
// workers are woken by time alone.
func (w *Worker) runs(room *[64]byte) bool {
	f := w.stat.Load()
	if f == nil {
		return true
	}
	n, _ := f.ReadAt(room[:], 0) // "PID (name) S …", the name has at most 15 bytes
	i := bytes.LastIndexByte(room[:n], ')')
	return i < 0 || i+2 >= n || room[i+2] == 'R'
}

// openStat opens the file with the worker's state, when it has been forked.
func (w *Worker) openStat() {
	if f, err := os.Open("/proc/" + strconv.Itoa(int(w.pid.Load())) + "/stat"); err == nil {
		w.stat.Store(f)
	}
}

// closeStat ends the use of the file. A loop that reads it at that moment finds it closed, or finishes.
func (w *Worker) closeStat() {
	if f := w.stat.Swap(nil); f != nil {
		f.Close()
	}
}
