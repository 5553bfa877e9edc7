package pool

// cellState is where a cell is. It belongs to the cell's loop.
type cellState uint8

const (
	// cellFree: on the free list. Next: queued.
	cellFree cellState = iota
	// cellQueued: published; a worker may have claimed it since. Next: claimed, done, free (withdrawn).
	cellQueued
	// cellClaimed: a worker was seen to have it. Next: done, killing, lost, queued (again, when its worker is gone), free.
	cellClaimed
	// cellDone: the worker has finished it; output may be left. Next: free.
	cellDone
	// cellKilling: the exchange is answered (not a tick, which then is over only at the end); its worker is being killed, and
	// has the cell until it is gone. Next: free.
	cellKilling
	// cellLost: its owner word was destroyed, and any worker of that time may still write to it. Next: free, when they are
	// all gone.
	cellLost
)

// open reports whether a worker has, or is to have, the exchange.
func (s cellState) open() bool { return s == cellQueued || s == cellClaimed }
