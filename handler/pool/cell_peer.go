package pool

import (
	"fmt"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// A peer that has gone needs no response. An exchange that still waits for a worker is withdrawn then. One that a worker has
// goes on, unless the script wants its handler ended (on_client_gone).

// peer is what is known about the end of an exchange's peer.
type peer struct {
	finished bool // it has sent its FIN: it has gone, or still reads
	gone     bool // the connection has ended
	told     bool // its worker is to end the handler
	since    int64
	handler  *handlerEnd // nil: the handler is not ended
}

// handlerEnd is how handlers of a listener are ended whose client has gone.
type handlerEnd struct {
	patience time.Duration // then the worker is killed; 0: never
}

// handlerEnds are those of the listeners; nil: handlers of the listener are not ended.
func handlerEnds(spec *listen.Spec) []*handlerEnd {
	ends := make([]*handlerEnd, len(spec.Listeners))
	for i := range spec.Listeners {
		if o := spec.Listeners[i].HTTP; o != nil && o.EndOnClientGone {
			ends[i] = &handlerEnd{patience: o.ClientGoneTimeout}
		}
	}
	return ends
}

// handlerEnd says how handlers of a listener are ended.
func (p *Pool) handlerEnd(listener int) *handlerEnd {
	if listener < 0 || listener >= len(p.ends) {
		return nil
	}
	return p.ends[listener]
}

// PeerEnd implements backend.Running.
func (c *cell) PeerEnd() {
	if !c.state.open() {
		return
	}
	c.peer.finished = true
	c.body.setFlags(c.body.flags | shm.InPeerEnd)
	c.endHandler()
}

// withdraw takes the exchange from its queue because its peer has gone. false: a worker has claimed it.
func (c *cell) withdraw() bool {
	if !c.l.queue.Withdraw(c.index, c.pos) {
		return false
	}
	c.l.abandoned.Add(1)
	x := c.leave()
	c.l.release(c)
	if x != nil {
		x.Failed(backend.StatusClientGone, 0)
	}
	return true
}

// outwaited reports whether an exchange in the queue is given up for its peer: it was not served at once, so a peer that has
// sent its FIN is taken to have gone.
func (c *cell) outwaited(now int64) bool {
	patience := c.l.p.spec.Options.GoneAfter
	return c.peer.finished && patience > 0 && now-c.queued >= int64(patience)
}

// endHandler tells the worker to end the handler, if the peer has gone and the script wants that. A worker that has claimed
// the exchange unseen is told in the next slow tick.
func (c *cell) endHandler() {
	if c.peer.handler == nil || c.peer.told || c.state != cellClaimed || c.complete() || !c.peer.finished && !c.peer.gone {
		return
	}
	c.peer.told, c.peer.since = true, c.l.on.Now()
	c.poke() // it may wait for something of the peer
	c.worker.ask(shm.CtlClientGone)
}

// endUnfinished does the same for an exchange that is answered. The worker knows whether its handler has called
// request:finish(), and does nothing then. So this does not lead to its end.
func (c *cell) endUnfinished() {
	if c.peer.handler != nil && c.state == cellClaimed {
		c.worker.ask(shm.CtlClientGone)
	}
}

// complete reports whether the handler has finished its response. It may go on then, even if the peer has gone.
func (c *cell) complete() bool { return c.answered || c.response.whole }

// outlived: the peer has gone, and the handler does not end. true: the worker is killed, and the exchange over.
func (c *cell) outlived(now int64) bool {
	c.endHandler()
	if !c.peer.told || c.complete() || c.peer.handler.patience == 0 || now-c.peer.since < int64(c.peer.handler.patience) {
		return false
	}
	c.worker.in.Quit.Store(1) // if the handler returns now, the worker takes no other exchange that would be killed with it
	c.worker.kill(fmt.Sprintf("on_client_gone: %s has not ended within %v", c.about(), c.peer.handler.patience))
	c.setState(cellKilling)
	if x := c.leave(); x != nil {
		x.Failed(backend.StatusClientGone, 0)
	}
	return true
}
