package pool

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// takeSpan is how long a worker may take to take a descriptor that has been sent to it. If it was sent one because another
// worker has destroyed its flags, it has thrown that one away, and waits for another that never comes. A variable for tests.
var takeSpan = 30 * time.Second

// descriptor is what the worker of an exchange gets over its control socket when it asks for it: the socket of a raw
// connection, or the file of a request body.
type descriptor struct {
	state  descriptorState
	fd     int          // a socket that is held
	file   backend.File // until the cell is free; nil: it is a socket, or nothing
	ended  func()       // is called when a socket's connection has ended; nil: nothing is
	passed int64        // descriptorPassed: since when
	told   bool         // the log says that the file could not be opened
	away   bool         // counted in Worker.away, and in loop.cells.handed while the cell is open
}

// descriptorState is where the descriptor of a cell's exchange is.
type descriptorState uint8

const (
	// descriptorNone: it has none, or none any more.
	descriptorNone descriptorState = iota
	// descriptorHeld: the cell has it. Next: passed, none (closed).
	descriptorHeld
	// descriptorPassed: the worker has it, and has not taken its request for it back. Next: settled, none, held (a file, for
	// another worker).
	descriptorPassed
	// descriptorSettled: the worker has it, and may not ask again. Next: none, held (a file, for another worker).
	descriptorSettled
)

// holdSocket takes ownership of a socket.
func (d *descriptor) holdSocket(fd int, ended func()) {
	d.state, d.fd, d.ended = descriptorHeld, fd, ended
}

// holdFile takes ownership of a file.
func (d *descriptor) holdFile(f backend.File) {
	d.state, d.file, d.told = descriptorHeld, f, false
}

// sendTo gives it to a worker. A socket is then the worker's alone.
func (d *descriptor) sendTo(w *Worker) error {
	fd := d.fd
	if d.file != nil {
		var err error
		if fd, err = d.file.Open(); err != nil {
			return fmt.Errorf("%w: %w", errNotOpened, err)
		}
	}
	err := w.pass(fd)
	if err == nil || d.file != nil {
		unix.Close(fd)
	}
	return err
}

// settle notes that the worker does not ask, or no longer.
func (d *descriptor) settle() {
	if d.state == descriptorPassed {
		d.state = descriptorSettled
	}
}

// late reports whether a worker has not taken what it was sent.
func (d *descriptor) late(now int64) bool { return now-d.passed >= int64(takeSpan) }

// mayRetry reports whether another worker can get it.
func (d *descriptor) mayRetry() bool { return d.state <= descriptorHeld || d.file != nil }

// retry prepares it for another worker.
func (d *descriptor) retry() {
	if d.file != nil {
		d.state = descriptorHeld
	}
}

// close closes a socket if it is still here. reset: the peer is to know that it was not served.
func (d *descriptor) close(reset bool) {
	if d.state == descriptorNone || d.file != nil {
		return
	}
	if d.state == descriptorHeld {
		if reset {
			unix.SetsockoptLinger(d.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(d.fd)
	}
	d.state, d.fd = descriptorNone, -1
	if d.ended != nil {
		d.ended()
		d.ended = nil
	}
}

// release gives back a file. A worker that still ran would ask for it, so this is done when the cell is free.
func (d *descriptor) release() {
	if d.file != nil {
		d.file.Close()
		d.state, d.file = descriptorNone, nil
	}
}

// wantsDescriptor takes note of whether the worker wants the descriptor. false: it is at fault, and the exchange over.
func (c *cell) wantsDescriptor(wants bool, now int64) bool {
	d := &c.descriptor
	switch {
	case !wants:
		d.settle()
	case d.state == descriptorHeld:
		c.passDescriptor(now)
	case d.state != descriptorPassed:
		c.violated("asks for a descriptor that it must not have")
		return false
	case d.late(now):
		c.violated("does not take the descriptor that it asked for")
		return false
	}
	return true
}

// passDescriptor gives it to the worker. If the worker cannot take it, it is ended, and the exchange may be given to another
// one. A file that cannot be opened, because descriptors are short, is tried again at the next tick.
func (c *cell) passDescriptor(now int64) {
	w, d := c.worker, &c.descriptor
	if w.gone.Load() || w.fault.Load() != nil {
		return
	}
	if err := d.sendTo(w); errors.Is(err, errNotOpened) {
		if !d.told {
			d.told = true
			c.l.p.log.Warn("file of a request body not opened: trying again", "err", err)
		}
		return
	} else if err != nil {
		w.kill(fmt.Sprintf("does not take a descriptor: %v", err))
		return
	}
	d.state, d.passed = descriptorPassed, now
	if d.file == nil {
		c.countWorker()
		c.setAway(true)
	}
}

var errNotOpened = errors.New("not opened")
