package engine

import "moonbridge/handler/backend"

// PeerEnd says what it means for an exchange in progress that the peer has sent its FIN. A peer that has closed the connection
// cannot be told from one that has closed its sending side only, and waits for the response. Most have closed the
// connection: that is how browsers and programs give up.
type PeerEnd uint8

const (
	// PeerEndCancel: the backend is told, and may give up the exchange. The context of a Go handler ends, and an exchange
	// that has waited for a while leaves its queue. Data that a handler writes is still sent.
	PeerEndCancel PeerEnd = iota
	// PeerEndWait: the peer may be waiting for its response. The backend is told when a write has failed, or when the peer
	// resets the connection.
	PeerEndWait
)

// tellPeerEnd tells the backend that the peer has finished sending, once for each exchange that this is true of. A peer that has gone is
// none that PeerEndWait waits for.
func (c *conn) tellPeerEnd() {
	if !c.socket.ended() || c.service.limits.peerEnd == PeerEndWait && !c.socket.hungUp() {
		return
	}
	if x := &c.exchange; c.state == stateDispatched && !x.peerEndTold {
		x.peerEndTold = true
		x.running.PeerEnd()
	}
	if c.pipeline != nil {
		c.tellFollowers()
	}
}

// clientGone ends an exchange that the backend has given up because its peer had gone.
func (c *conn) clientGone() {
	if c.exchange.record != nil {
		c.exchange.record.Status = backend.StatusClientGone
	}
	if c.pipeline != nil {
		c.uncork(c.l.sys.nowMS())
	}
	c.close()
}
