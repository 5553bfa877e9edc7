package backend

// Streamer is implemented by every Exchange of an engine, and by what backends put in place of an Exchange: its response may go on for
// as long as the connection.
type Streamer interface {
	// Stream makes r the Running of the exchange, in place of what Start has returned, which is not called any more. From now on there
	// is no response timeout, and what the peer does not take stays with r, except for what the connection keeps in memory. Running.PeerEnd
	// follows if the peer has finished sending, but not within the call. Part of the response may have been output before.
	Stream(r Running)
}

// BeginStream calls Stream of x, if it has it. What backends put in place of an Exchange uses it.
func BeginStream(x Exchange, r Running) {
	if s, ok := x.(Streamer); ok {
		s.Stream(r)
	}
}
