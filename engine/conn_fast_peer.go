package engine

// What the socket does not take of a large response could go into a file of the spool at once. Writing and reading a file costs
// more than sending, though. So the bytes stay in the backend, and its handler waits, as long as the peer takes the response fast
// and no other exchange waits for a handler.

const (
	// fastEveryMS is how often it is checked whether the peer is still fast, in milliseconds.
	fastEveryMS = 20
	// fastBytes is how many bytes a fast peer takes in that time: 64 KiB in 20 ms are 3.3 MB/s.
	fastBytes = 64 << 10
)

// fastPeer is what a connection remembers of the wait for a fast peer.
type fastPeer struct {
	atMS           uint64 // end of the present interval; 0: there is none
	unacknowledged int64  // bytes on their way to the peer when it began
	sent           int64  // bytes that the socket has taken since
	over           bool   // for this response
}

// sent counts n bytes of the response that the socket has taken.
func (x *exchange) sent(n int) {
	if x.extras != nil && !x.extras.shared {
		x.extras.fast.sent += int64(n)
	}
}

// fastCheckMS is when the connection has to check on a peer that it waits for; 0: never.
func (x *exchange) fastCheckMS() uint64 {
	if x.extras == nil {
		return 0
	}
	return x.extras.fast.atMS
}

// staysInBackend reports whether n bytes of the response are left to the backend, instead of being spooled.
func (c *conn) staysInBackend(nowMS uint64, n int, last bool) bool {
	fits := n <= c.service.limits.outputBytes-c.output.Len()
	if c.spool != nil || fits && (last || n <= spoolAhead) {
		return false
	}
	p := &c.exchange.extra().fast
	if p.over || c.service.pressed() {
		p.over = true
		return false
	}
	if p.atMS == 0 {
		c.waitForFast(nowMS, p)
	}
	return true
}

// waitForFast begins an interval.
func (c *conn) waitForFast(nowMS uint64, p *fastPeer) {
	p.atMS, p.sent = nowMS+fastEveryMS, 0
	p.unacknowledged = c.l.sys.unacknowledged(c.socket.fd)
	c.updateDeadline(nowMS)
}

// fastPeerChecked is called at the end of an interval. false: that is not why the deadline has passed.
func (c *conn) fastPeerChecked(nowMS uint64) bool {
	if c.exchange.fastCheckMS() == 0 || c.deadline.responseDue(nowMS) {
		return false
	}
	p := &c.exchange.extras.fast
	p.atMS = 0
	left := c.l.sys.unacknowledged(c.socket.fd)
	taken := p.unacknowledged - left
	if c.l.multiplexed == nil { // of a stream, the number falls by what is acknowledged, whatever is sent meanwhile
		taken += p.sent
	}
	switch {
	case c.state != stateDispatched || !c.exchange.wantsRoom:
	case left >= 0 && taken >= fastBytes && !c.service.pressed():
		c.waitForFast(nowMS, p)
	default:
		p.over = true
		c.exchange.wantsRoom = false
		c.exchange.running.OutputRoom()
	}
	if c.state != stateClosed {
		c.updateDeadline(nowMS)
	}
	return true
}
