package pool

import (
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// Worker is our record of one worker process.
type Worker struct {
	// Immutable.
	p    *Pool
	fs   *forkServer // that forked it
	slot int
	seq  uint64 // counts the workers of the pool, from 1
	home int    // loop whose queue it looks at first
	bell *shm.WorkerBell
	conn *net.UnixConn // control socket
	in   *shm.InWorker
	out  *shm.OutWorker

	// Known when it is forked.
	pid atomic.Int32

	// Shared with the loops.
	serving   atomic.Bool            // it takes exchanges
	gone      atomic.Bool            // its process has ended
	claims    atomic.Int32           // exchanges that a loop has seen it at for some time
	away      atomic.Int32           // raw connections that it is alone with
	pinned    atomic.Bool            // it is bound to a CPU
	condemned atomic.Pointer[string] // why it has to be killed
	retired   atomic.Bool            // it takes no further exchange by its own decision
	worked    atomic.Bool            // it has had an exchange
	left      atomic.Int32           // loops that have not yet reclaimed its cells
	reclaimed atomic.Bool
	lost      atomic.Int32 // exchanges that its death ended
	retried   atomic.Int32 // exchanges that its death gave to another worker

	// Under Pool.mu.
	stderr     *os.File // our end, until somebody reads it
	proc       process
	state      policy.State
	since      time.Time // of the fork
	active     time.Time // last seen busy
	finished   uint64    // as of then
	limit      uint64    // exchanges after which it is recycled; 0: none
	recycle    bool      // to be replaced
	successor  *Worker   // that is forked to replace it
	replaces   *Worker   // that it is forked to replace
	wasReady   bool
	told       bool // to end: it is not missed then
	expected   bool // its end was
	killed     bool
	endBy      time.Time // when it is killed if it has not ended; zero: never
	deaf       time.Time // when its control socket came to its end
	status     unix.WaitStatus
	statusSeen bool // status is what waitpid said
}

// condemn has the worker killed, for the first reason that is given. Callable from anywhere.
func (w *Worker) condemn(why string) {
	if w.condemned.CompareAndSwap(nil, &why) {
		w.p.kick()
	}
}

// poke rings the worker if it sleeps.
func (w *Worker) poke() {
	if w.out.Asleep.Load() != 0 && w.out.Asleep.Swap(0) != 0 {
		w.bell.Ring()
	}
}

// occupied reports whether the worker is at an exchange, as far as can be seen from here: it does not sleep, or a loop
// knows of an exchange that it has (in which it may sleep, waiting for its peer).
func (w *Worker) occupied() bool { return w.claims.Load() > 0 || w.out.Asleep.Load() == 0 }

// release closes what belongs to a worker whose process has ended, but for the doorbell: loops may still ring it until
// they have reclaimed its cells.
func (w *Worker) release() {
	w.conn.Close()
	if w.stderr != nil {
		w.stderr.Close()
	}
	if w.pid.Load() > 0 {
		w.proc.close()
	}
}
