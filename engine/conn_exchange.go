package engine

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// exchange is what a connection knows of the request in progress, until its response is out.
type exchange struct {
	running backend.Running // nil: the backend does not have it, or has ended it
	record  *accessRecord   // for the access log; nil: nothing is logged
	extras  *extras         // nil: it has none of them

	persistent bool        // it leaves the connection open (RFC 9112 §9.3)
	isHead     bool        // its response has no body (RFC 9110 §9.3.2)
	begun      bool        // a byte of its final response was given to the output
	wantsRoom  bool        // the backend holds output that the connection did not take
	end        backend.End // what happens to the connection when the response is out

	peerEndTold bool // the backend knows that the peer has finished sending
	leads       bool // further requests may be taken while it is in progress
	traits      traits
}

// traits are what is true of few exchanges. They share a byte: a connection must not grow.
type traits uint8

const (
	likesJSON traits = 1 << iota // its client would rather have an error as JSON
	streams                      // backend.Streamer: what the peer does not take is not spooled
	http10                       // its client speaks HTTP/1.0, and needs to be told of a connection that persists
)

// traitsOf are those of a request.
func traitsOf(h *httpparse.Head) traits {
	t := traits(1-h.Minor) * http10
	if h.JSON {
		t |= likesJSON
	}
	return t
}

// extras are what few exchanges have.
type extras struct {
	interim interim
	trailer []byte // trailer section of the request body, for the backend
	failure failure
	fast    fastPeer

	always []byte // fields of the final head; nil: none, or it has them
	held   []byte // an incomplete head of the backend, which is to get them
	shared bool   // by all exchanges of the service that have no more than this: it must not be changed
}

// extra returns the extras, to add one.
func (x *exchange) extra() *extras {
	switch {
	case x.extras == nil:
		x.extras = new(extras)
	case x.extras.shared:
		x.extras = &extras{always: x.extras.always}
	}
	return x.extras
}

// leave ends the backend's part: no further call is made on what was running.
func (x *exchange) leave() {
	if x.record != nil {
		x.record.noteTimes(x.running)
	}
	x.running = nil
	x.wantsRoom = false
}
