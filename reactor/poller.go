package reactor

import (
	"errors"
	"reflect"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// poller wraps gnet's poller. No other file uses gnet. On Linux gnet's poller registers descriptors, and poller_linux.go waits
// for their events; on kqueue gnet's Polling waits too.
//
// Polling determines the shape of a turn there (turn.go): it waits for a batch of events, calls back for each, then runs
// queued tasks if its own wake-up was in the batch, and waits again, once without blocking and then until something happens.
// It has no time limit, and no hook at the end of a batch.
type poller struct {
	epoll    *netpoll.Poller
	batchEnd queue.Func
	parking  *parking // nil: a thread blocks while run waits
	batch
}

// openPoller returns a poller that calls batchEnd after each atBatchEnd.
func openPoller(batchEnd func()) (*poller, error) {
	epoll, err := netpoll.OpenPoller()
	if err != nil {
		return nil, err
	}
	return &poller{epoll: epoll, batchEnd: func(any) error { batchEnd(); return nil }}, nil
}

// polling calls event for each event until that returns true.
func (p *poller) polling(event func(fd int, got Readiness) (stop bool)) error {
	err := p.epoll.Polling(func(fd int, what netpoll.IOEvent, flags netpoll.IOFlags) error {
		if event(fd, readiness(what, flags)) {
			return gneterrors.ErrEngineShutdown
		}
		return nil
	})
	if errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// trigger makes Polling call batchEnd once, at the end of its next batch, when all events fetched before have been reported.
// It writes to the poller's wake-up and allocates a few bytes.
func (p *poller) trigger() error { return p.epoll.Trigger(queue.HighPriority, p.batchEnd, nil) }

// descriptor is that of the poller itself, which gnet does not export. The version of gnet is fixed in go.mod, and no test of
// this package passes without it.
func (p *poller) descriptor() int {
	return int(reflect.ValueOf(p.epoll).Elem().FieldByName("fd").Int())
}

// add registers fd, edge-triggered, for reading and perhaps for writing.
func (p *poller) add(fd int, write bool) error {
	if write {
		return p.epoll.AddReadWrite(&netpoll.PollAttachment{FD: fd}, true)
	}
	return p.epoll.AddRead(&netpoll.PollAttachment{FD: fd}, true)
}

// remove deregisters fd. On kqueue it does nothing: events go on until fd is closed.
func (p *poller) remove(fd int) error { return p.epoll.Delete(fd) }

func (p *poller) close() error { return p.epoll.Close() }
