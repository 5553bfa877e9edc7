package engine

// connState is where a connection is in its life. Every state has a deadline (conn_deadline.go).
type connState uint8

const (
	// stateIdle: no byte of a request has arrived, though there may be empty lines. → head, writing (the engine answers), lingering, closed
	stateIdle connState = iota
	// stateHead: a head has begun. → body, spooling, dispatched, writing (the engine answers), closed
	stateHead
	// stateBody: the head is complete. The body is small, and no handler is occupied before it is complete.
	// → dispatched, writing, closed
	stateBody
	// stateSpooling: the head is complete. The body goes to the spool, and no handler is occupied before it is complete.
	// → dispatched, writing, closed
	stateSpooling
	// stateDispatched: the backend runs the exchange. It may still be taking the body, and may already be answering.
	// → writing, closed
	stateDispatched
	// stateWriting: the exchange has ended, and part of its response is not sent yet. → idle, discarding, lingering, closed
	stateWriting
	// stateDiscarding: the exchange has ended, and its response is sent. The rest of its body is thrown away.
	// → idle, lingering, closed
	stateDiscarding
	// stateLingering: everything is sent and our side is shut down. Data that the peer still sends is thrown away until it
	// closes (RFC 9112 §9.6). → closed
	stateLingering
	// stateClosed: the descriptor is closed, or will be at the end of the turn. This is final.
	stateClosed
)

func (s connState) String() string {
	return [...]string{"idle", "head", "body", "spooling", "dispatched", "writing", "discarding", "lingering", "closed"}[s]
}

// receiving reports whether the connection waits for the bytes of a request.
func (s connState) receiving() bool { return s <= stateBody }
