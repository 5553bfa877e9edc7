package engine

// connState is where a connection is in its life. Every state has a deadline (conn_timeout.go).
type connState uint8

const (
	// stateIdle: no byte of a request is there. → head, closed
	stateIdle connState = iota
	// stateHead: a head has begun. → body, dispatched, writing (answered by the engine), closed
	stateHead
	// stateBody: the head is complete; its body is small and is waited for before a handler is taken.
	// → dispatched, writing, closed
	stateBody
	// stateDispatched: a handler runs; it may still be taking the body, and may already be answering.
	// → writing, idle, head, lingering, closed
	stateDispatched
	// stateWriting: the exchange is over, its output is not yet sent. → idle, head, lingering, closed
	stateWriting
	// stateLingering: everything is sent and our side is shut down; what the peer still sends is thrown away until it
	// closes (RFC 9112 §9.6). → closed
	stateLingering
	// stateClosed: the descriptor is gone or goes at the end of the turn. The end.
	stateClosed
)

func (s connState) String() string {
	return [...]string{"idle", "head", "body", "dispatched", "writing", "lingering", "closed"}[s]
}
