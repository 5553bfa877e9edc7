package pool

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
