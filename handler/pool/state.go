package pool

// State is where a worker is in its life. Changed under Pool.mu only.
type State uint8

const (
	// Booting: the fork is asked for, or prepare runs. Next: Idle, or Gone.
	Booting State = iota
	// Idle: it waits for exchanges, as far as the supervisor saw. Next: Busy, Draining, Gone.
	Idle
	// Busy: it is at an exchange, as far as the supervisor saw. Next: Idle, Draining, Gone.
	Busy
	// Draining: it was told to end. It completes its exchange and runs finish. Next: Gone.
	Draining
	// Gone: the process has ended. When every loop has reclaimed its cells, the slot is free for another worker.
	Gone
)

var stateNames = [...]string{"booting", "idle", "busy", "draining", "gone"}

func (s State) String() string { return stateNames[s] }

// serving reports whether the worker takes exchanges.
func (s State) serving() bool { return s == Idle || s == Busy }

// alive reports whether there is a process, or may be.
func (s State) alive() bool { return s != Gone }

// cellState is where a cell is. It belongs to the cell's loop.
type cellState uint8

const (
	// cellFree: on the free list. Next: queued.
	cellFree cellState = iota
	// cellQueued: published; a worker may have claimed it since. Next: claimed, done, free (withdrawn).
	cellQueued
	// cellClaimed: a worker was seen to have it. Next: done, condemned, lost, queued (once more, after a death), free.
	cellClaimed
	// cellDone: the worker is through with it, output may be left. Next: free.
	cellDone
	// cellCondemned: the exchange is answered; its worker is being killed, and has the cell until then. Next: free.
	cellCondemned
	// cellLost: its owner word was destroyed, and any worker of that time may still write to it. Next: free, when they all
	// have gone.
	cellLost
)

// open reports whether a worker has, or is to have, the exchange.
func (s cellState) open() bool { return s == cellQueued || s == cellClaimed }
