package backend

// Streamer is implemented by every Exchange of an engine, and by what backends put in place of an Exchange: its response may go on for
// as long as the connection.
type Streamer interface {
	// Stream makes r the Running of the exchange, in place of what Start has returned, which is not called any more. From now on there
	// is no response timeout, and what the peer does not take stays with r, except for what the connection keeps in memory. Running.PeerEnd
	// follows if the peer has finished sending, but not within the call. Part of the response may have been output before.
	Stream(r Running)
	// Pending is how much the peer has not acknowledged of what was output. It is for whoever wants to know whether a slow peer takes
	// anything: as long as nothing is output, the number becomes smaller when it does, and means nothing else. It needs a system call.
	Pending() int64
}

// BeginStream calls Stream of x, if it has it. What backends put in place of an Exchange uses it.
func BeginStream(x Exchange, r Running) {
	if s, ok := x.(Streamer); ok {
		s.Stream(r)
	}
}

// PendingOf is the Pending of x; 0 if it has none.
func PendingOf(x Exchange) int64 {
	if s, ok := x.(Streamer); ok {
		return s.Pending()
	}
	return 0
}
