package rawhttp

import (
	"moonbridge/handler/shm"
	"moonbridge/httpwrite"
)

// sendContinue answers Expect: 100-continue (RFC 9110 §10.1.1) when the handler reads the body, before the final response
// and not within an interim one.
func (c *Conn) sendContinue() {
	if !c.body.Expecting() || c.cfg.Out.Flags.Load()&shm.OutBodyWanted == 0 || !c.betweenHeads() {
		return
	}
	c.body.Continue()
	c.own = append(c.own, httpwrite.Continue...)
	c.send()
}

// betweenHeads reports whether all that the handler has output so far is complete interim responses, and is sent. Those that
// no longer fit into the window together cannot be checked.
func (c *Conn) betweenHeads() bool {
	head := c.cfg.Out.OutHead.Load()
	if head > c.sent || head > uint64(len(c.cfg.OutWindow)) {
		return false
	}
	var s httpwrite.Scan
	a, b := shm.Ring(c.cfg.OutWindow, uint64(c.cfg.Out.OutStart.Load()), head)
	s.Write(a)
	s.Write(b)
	return s.Between()
}
