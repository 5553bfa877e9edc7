package pool

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

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

	// Set once, when it is forked.
	pid atomic.Int32

	// Shared with the loops.
	serving atomic.Bool            // it takes exchanges
	gone    atomic.Bool            // its process has ended
	claims  atomic.Int32           // exchanges that a loop has seen it at for some time
	away    atomic.Int32           // raw connections that it is alone with, and a main handler
	main    atomic.Bool            // it runs a main handler
	pinned  atomic.Bool            // it is bound to a CPU
	fault   atomic.Pointer[string] // why it has to be killed
	retired atomic.Bool            // it takes no further exchange by its own decision
	worked  atomic.Bool            // it has had an exchange
	reclaim reclaim
	stat    atomic.Pointer[os.File] // what the system says of its process; nil: nothing, or it has ended

	notes    *notes                       // in case an exchange fails; nil: nobody wants to know. Immutable
	channels atomic.Pointer[net.UnixConn] // on which it asks about channels; nil: it has not
	said     sync.WaitGroup               // reading what it says and asks on sockets

	filesPosted atomic.Int32 // files that it has sent, and that no loop has taken

	// Under Pool.mu.
	state      policy.State
	stderr     *os.File // our end, until it is being read
	proc       process
	activity   activity
	succession succession
	exit       exit
}

// kill makes the supervisor kill the worker. If it is called several times, the first reason counts. Callable from anywhere.
func (w *Worker) kill(why string) {
	if w.fault.CompareAndSwap(nil, &why) {
		w.p.kick()
	}
}

// wake rings the worker if it sleeps.
func (w *Worker) wake() {
	if w.out.Asleep.Load() != 0 && w.out.Asleep.Swap(0) != 0 {
		w.bell.Ring()
	}
}

// occupied reports whether the worker is at an exchange, as far as can be seen from here: it does not sleep, or a loop
// knows of an exchange that it has (in which it may sleep, waiting for its peer).
func (w *Worker) occupied() bool { return w.claims.Load() > 0 || w.out.Asleep.Load() == 0 }

// rouse rings a worker that has seemed to be awake for some time, without an exchange that a loop knows of. It may sleep, and
// another worker has destroyed its flag. Then it sets the flag again, and counts as idle. Under Pool.mu.
func (w *Worker) rouse(now time.Time) {
	if a := &w.activity; w.claims.Load() == 0 && now.Sub(a.stirred) >= rescueAfter {
		a.stirred = now
		w.bell.Ring()
	}
}

// lastWords is how long it may take to read what a worker has said before its end. It is all there then: only a process
// that the worker has left can hold its control socket open.
const lastWords = time.Second

// close closes what belongs to a worker whose process has ended, except the doorbell: loops may still ring it until they
// have reclaimed its cells.
func (w *Worker) close() {
	if channels := w.channels.Load(); channels != nil {
		channels.SetReadDeadline(time.Now().Add(lastWords)) // answerChannels closes it
	}
	if w.pid.Load() > 0 {
		w.conn.SetReadDeadline(time.Now().Add(lastWords)) // listen closes it
	} else {
		w.conn.Close()
	}
	if w.stderr != nil {
		w.stderr.Close()
	}
	w.closeStat()
	if w.pid.Load() > 0 {
		w.proc.close()
	}
}
