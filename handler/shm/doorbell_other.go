//go:build !linux

package shm

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Doorbell tells a sleeping process that there is work. Here it is a pipe.
//
// It is not an os.File, because the runtime's own poller would wake up with every ring.
type Doorbell struct {
	r, w int
	once sync.Once
}

// NewDoorbell makes a doorbell. It does not block, and does not survive an exec.
func NewDoorbell() (*Doorbell, error) {
	r, w, err := Pipe()
	if err != nil {
		return nil, fmt.Errorf("doorbell: %w", err)
	}
	d := &Doorbell{r: r, w: w}
	runtime.SetFinalizer(d, (*Doorbell).Close)
	if err := errors.Join(unix.SetNonblock(d.r, true), unix.SetNonblock(d.w, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("doorbell: %w", err), d.Close())
	}
	return d, nil
}

// Ring wakes the process that waits at the reading end. It never blocks: a doorbell that is full has been rung already.
func (d *Doorbell) Ring() { ringFd(d.w) }

// Drain takes back all rings so far.
func (d *Doorbell) Drain() {
	var b [512]byte
	for {
		if n, err := unix.Read(d.r, b[:]); n < len(b) || err != nil {
			return
		}
	}
}

// Reader is the descriptor to wait on.
func (d *Doorbell) Reader() int { return d.r }

// Writer is the descriptor to ring with, by writing any 8 bytes.
func (d *Doorbell) Writer() int { return d.w }

// Close releases the descriptors. The garbage collector does it for a doorbell that is no longer referenced. As long as it
// might still be rung it must stay open: otherwise its number could be that of another file.
func (d *Doorbell) Close() (err error) {
	d.once.Do(func() { err = errors.Join(unix.Close(d.r), unix.Close(d.w)) })
	return err
}

// ringFd rings the doorbell with the descriptor fd. It does not block.
func ringFd(fd int) {
	var one [8]byte
	unix.Write(fd, one[:])
}
