package engine

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Requests that a peer sends before it has the responses to earlier ones are taken together, as far as RFC 9112 §9.3.2 allows:
// the backend gets a follower while the exchanges before it are in progress. It is in the order of the requests that followers
// become the connection's exchange, and that anything is sent. Every request that cannot be a follower, for whatever reason,
// stays in the input until all before it are done. Then it is handled like any other request.

// pipeline is what a connection has beyond its exchange, from its first follower until it is idle again.
type pipeline struct {
	first, last *pipelined // followers, in the order of their requests
	len         int
	kept        int        // bytes of the followers' output
	unlogged    []unlogged // exchanges that have ended
	next        *pipeline  // in the loop's list of free ones
}

// pipelinesKept and pipelinedKept are how many free pipelines and followers a loop keeps.
const (
	pipelinesKept = 256
	pipelinedKept = 4096
)

// takeFollowers takes further requests while the exchange is in progress.
func (c *conn) takeFollowers(nowMS uint64) {
	most := 0
	for reads := 0; c.leads(); {
		if most == 0 {
			most = c.service.overlap()
		}
		if c.inProgress() >= most {
			return
		}
		if c.input.Len() > 0 && c.takeFollower(nowMS) {
			continue
		}
		if !c.exchange.leads || c.socket.eof || !c.readMore(nowMS, &reads) {
			return
		}
	}
}

// leads reports whether another request may follow those in progress. If the peer does not take its responses, there are no
// more; a service that has a successor gets no more either.
func (c *conn) leads() bool {
	return c.exchange.leads && c.state == stateDispatched && c.socket.writable && c.spool == nil && c.files == nil &&
		c.service.next == nil && !c.ending()
}

// inProgress is how many exchanges of the connection are in progress.
func (c *conn) inProgress() int {
	if c.pipeline == nil {
		return 1
	}
	return 1 + c.pipeline.len
}

// takeFollower gives the request that the input begins with to the backend. It returns false if the request is incomplete, or
// has to wait.
func (c *conn) takeFollower(nowMS uint64) bool {
	h := &c.l.head
	n, err := c.input.head(h, &c.service.limits.head)
	if n == 0 && err == nil {
		return false
	}
	if err != nil || !h.Overlaps() || !c.startIdentified(nowMS, h) {
		c.hold()
		return false
	}
	c.input.Discard(n)
	return true
}

// startIdentified is startFollower, with what is known about the client.
func (c *conn) startIdentified(nowMS uint64, h *httpparse.Head) (taken bool) {
	if c.service.identifier == nil {
		return c.startFollower(nowMS, h)
	}
	c.identify(h)
	taken = c.startFollower(nowMS, h)
	c.forgetClient(h)
	return taken
}

// startFollower starts an exchange whose response has to wait for others. false: the backend does not take it now.
func (c *conn) startFollower(nowMS uint64, h *httpparse.Head) bool {
	p := c.l.newPipelined(c)
	p.responseMS = after(nowMS, c.service.limits.responseMS)
	p.exchange = exchange{isHead: h.IsHead, traits: traitsOf(h), persistent: true, leads: true, extras: c.service.extras}
	if c.l.e.observed {
		p.exchange.record = c.l.recordOf(h, c.service, c.socket.peer.Addr())
	}
	running, err := c.service.backend.Start(p, h, c.service.index, nil, false)
	if err != nil {
		if p.exchange.record != nil {
			c.l.releaseRecord(p.exchange.record)
		}
		c.l.releasePipelined(p)
		return false
	}
	p.exchange.running = running
	c.l.requests++
	c.addFollower(p)
	return true
}

// hold ends the taking of followers until the connection has no exchange: the next request has to wait.
func (c *conn) hold() {
	c.exchange.leads = false
	if c.pipeline != nil {
		for p := c.pipeline.first; p != nil; p = p.next {
			p.exchange.leads = false
		}
	}
}

func (c *conn) addFollower(p *pipelined) {
	if c.pipeline == nil {
		c.pipeline = c.l.newPipeline()
	}
	l := c.pipeline
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.len++
}

// takeFirst removes the first follower, or returns nil.
func (l *pipeline) takeFirst() *pipelined {
	p := l.first
	if p == nil {
		return nil
	}
	l.first, p.next = p.next, nil
	if l.first == nil {
		l.last = nil
	}
	l.len--
	l.kept -= p.kept()
	return p
}

// follow makes the first follower the connection's exchange, after one that keeps the connection has ended. false: there is
// none. Output that is not sent yet does not matter, since that of the follower comes after it.
func (c *conn) follow(nowMS uint64) bool {
	if c.pipeline == nil || c.exchange.end != backend.EndKeep {
		return false
	}
	p := c.pipeline.takeFirst()
	if p == nil {
		return false
	}
	c.logLater()
	c.exchange = p.exchange
	c.deadline.responseMS = p.responseMS
	c.state = stateDispatched
	if c.files != nil {
		c.files.own = 0
	}
	if c.input.Len() > 0 || c.socket.readable {
		c.again() // another request may follow
	}
	c.updateDeadline(nowMS)
	p.takeTurn()
	return true
}

// cancelFollowers gives up the followers, because the connection ends before their turn. Their methods are safe, so the client
// may send them again.
func (c *conn) cancelFollowers() {
	for p := c.pipeline.first; p != nil; p = p.next {
		if running := p.exchange.running; running != nil {
			p.exchange.leave()
			running.Cancel()
		}
	}
}

// endPipeline: the connection has no followers any more, except for those that have been cancelled.
func (c *conn) endPipeline() {
	for p := c.pipeline.takeFirst(); p != nil; p = c.pipeline.takeFirst() {
		if a := p.exchange.record; a != nil {
			c.logRecord(a, false, 0)
		}
		p.drop()
		if !p.completed {
			c.l.releasePipelined(p)
		}
	}
	c.l.releasePipeline(c.pipeline)
	c.pipeline = nil
}

// tellFollowers tells the followers that the peer has finished sending.
func (c *conn) tellFollowers() {
	for p := c.pipeline.first; p != nil; p = p.next {
		if running := p.exchange.running; running != nil && !p.exchange.peerEndTold {
			p.exchange.peerEndTold = true
			running.PeerEnd()
		}
	}
}

// overlap is how many exchanges of one connection may be in progress now.
func (s *service) overlap() int {
	most := s.limits.overlap
	if s.overlapping != nil {
		most = min(most, s.overlapping.Overlap())
	}
	return max(most, 1)
}

func (l *loop) newPipeline() *pipeline {
	p := l.pipelines
	if p == nil {
		return new(pipeline)
	}
	l.pipelines, p.next = p.next, nil
	l.pipelinesFree--
	return p
}

func (l *loop) releasePipeline(p *pipeline) {
	if l.pipelinesFree < pipelinesKept {
		p.next, l.pipelines = l.pipelines, p
		l.pipelinesFree++
	}
}

func (l *loop) newPipelined(c *conn) *pipelined {
	p := l.pipelined
	if p == nil {
		return &pipelined{c: c}
	}
	l.pipelined = p.next
	l.pipelinedFree--
	p.c, p.next = c, nil
	return p
}

// releasePipelined keeps p for another exchange. The backend makes no further call on it.
func (l *loop) releasePipelined(p *pipelined) {
	*p = pipelined{}
	if l.pipelinedFree < pipelinedKept {
		p.next, l.pipelined = l.pipelined, p
		l.pipelinedFree++
	}
}
