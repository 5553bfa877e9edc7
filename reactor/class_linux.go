package reactor

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enterBatch puts the thread of this goroutine into the scheduling class SCHED_BATCH, and locks the goroutine to it. A thread
// that is in a class other than the ordinary one stays there: the user has chosen it. leave undoes both. It may be called
// even after an error.
func enterBatch() (leave func(), err error) {
	runtime.LockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy != unix.SCHED_NORMAL {
		return runtime.UnlockOSThread, os.NewSyscallError("sched_getattr", err)
	}
	before.Runtime = 0 // the system's own slice
	batch := *before
	batch.Policy = unix.SCHED_BATCH
	if err := unix.SchedSetAttr(0, &batch, 0); err != nil {
		return runtime.UnlockOSThread, os.NewSyscallError("sched_setattr", err)
	}
	return func() {
		if unix.SchedSetAttr(0, before, 0) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}
