//go:build !linux

package shm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Doorbell tells a sleeping process that there is work. Here it is a WorkerBell of which neither end blocks.
//
// It is not an os.File, because the runtime's own poller would wake up with every ring.
type Doorbell struct{ *WorkerBell }

// NewDoorbell makes a doorbell. It does not block, and does not survive an exec.
func NewDoorbell() (*Doorbell, error) {
	b, err := NewWorkerBell()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(b.r, true); err != nil {
		return nil, errors.Join(fmt.Errorf("doorbell: %w", err), b.Close())
	}
	return &Doorbell{b}, nil
}

// Drain takes back all rings so far.
func (d *Doorbell) Drain() {
	var b [512]byte
	for {
		if n, err := unix.Read(d.r, b[:]); n < len(b) || err != nil {
			return
		}
	}
}

// Writer is the descriptor to ring with, by writing any 8 bytes.
func (d *Doorbell) Writer() int { return d.w }

// ringFd rings the doorbell with the descriptor fd. It does not block.
func ringFd(fd int) {
	var one [8]byte
	unix.Write(fd, one[:])
}
