package shm

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// WorkerBell wakes a worker. It is a pipe on all systems: the worker's end blocks, so that it waits with one system call,
// and ours does not, whatever the worker does to its end. (The two ends of an eventfd would share that mode.)
type WorkerBell struct {
	r, w int
	once sync.Once
}

// NewWorkerBell makes the doorbell of a worker. It does not survive an exec.
func NewWorkerBell() (*WorkerBell, error) {
	r, w, err := Pipe()
	if err != nil {
		return nil, fmt.Errorf("doorbell: %w", err)
	}
	b := &WorkerBell{r: r, w: w}
	runtime.SetFinalizer(b, (*WorkerBell).Close)
	if err := unix.SetNonblock(b.w, true); err != nil {
		return nil, errors.Join(fmt.Errorf("doorbell: %w", err), b.Close())
	}
	return b, nil
}

// Ring wakes the worker. It never blocks: a doorbell that is full has been rung already.
func (b *WorkerBell) Ring() { ringFd(b.w) }

// Reader is the descriptor that the worker waits on. The worker reads as many bytes as it gets.
func (b *WorkerBell) Reader() int { return b.r }

// Close releases the descriptors. The garbage collector does it for a doorbell that is no longer referenced. As long as it
// might still be rung it must stay open: otherwise its number could be that of another file.
func (b *WorkerBell) Close() (err error) {
	b.once.Do(func() { err = errors.Join(unix.Close(b.r), unix.Close(b.w)) })
	return err
}
