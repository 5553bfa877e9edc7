package engine

import "moonbridge/httpwrite"

// interim follows the interim responses of an exchange (RFC 9110 §15.2). They are output like any other, but do not begin the
// response: the engine may still send a 100 (Continue), or answer in place of the backend. Both have to be put between two
// heads.
type interim struct {
	heads  httpwrite.Scan
	wanted bool // BodyWanted was called within a head
}

// statusAt is where the status of a head starts: "HTTP/1.1 200".
const statusAt = len("HTTP/1.1 ")

// beginsFinal reports whether p, the next output of the backend, is the start of a final response. It looks at one byte. If
// that does not decide, tookInterim does.
func (x *exchange) beginsFinal(p []byte) bool {
	return x.extras == nil && len(p) > statusAt && p[statusAt] != '1'
}

// midHead reports whether only a part of an interim response was given to the output.
func (x *exchange) midHead() bool { return x.extras != nil && !x.extras.interim.heads.Between() }

// tookInterim takes note of output that may be an interim response, or the end of one and the start of what follows.
func (c *conn) tookInterim(a, b []byte) {
	r := &c.exchange.extra().interim
	r.heads.Write(a)
	r.heads.Write(b)
	c.exchange.begun = r.heads.Final() != 0
	if r.wanted && r.heads.Between() {
		c.BodyWanted()
	}
}

// BodyWanted implements backend.Exchange: the handler reads the body.
func (c *conn) BodyWanted() {
	if c.exchange.midHead() {
		c.exchange.extras.interim.wanted = true
		return
	}
	if c.state == stateDispatched && !c.exchange.begun && c.body.Continue() {
		c.send(continueBytes)
		c.updateDeadline(c.l.sys.nowMS())
	}
}

var continueBytes = []byte(httpwrite.Continue)
