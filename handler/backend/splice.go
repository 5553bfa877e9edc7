package backend

// ConnSender is implemented by an Exchange that can send what another connection has received without copying it to this process
// (splice(2)). What wraps an Exchange need not have it: bytes are copied then.
type ConnSender interface {
	// OutputConn appends to the response head, all that is in from.Unread, and up to n bytes that follow it. n is greater than 0. from
	// is on the same loop. Output and further calls may follow.
	//
	// If the result is not Done, nothing was sent, and the bytes have to be read and copied: because one of the two connections has TLS,
	// because few bytes come at a time, or because the rest of the response is to go into the spool. Otherwise head and Unread were taken.
	OutputConn(head []byte, from Conn, n int64) Spliced
}

// Spliced is what has come of OutputConn.
type Spliced struct {
	Done  bool
	Moved int64 // bytes that were taken from the connection, after those of Unread. They are sent even if Exchange.Done is called at once
	// Full: fewer than n bytes were moved, since the peer does not take more now, and from is paused. Running.OutputRoom follows, which
	// has to call Resume.
	Full bool
	// More: all n bytes were moved, and from has more of them, or its end.
	More bool
}

// If less than n bytes were moved, and Full is not set, Stream.Data of the other connection follows when it has more. It is then called
// although Unread is empty: what has come is read after the call, unless that has called OutputConn again.

// Source is implemented by every Conn of an engine.
type Source interface {
	// NextRead bounds the next read, in bytes, so that what comes after them is left to OutputConn.
	NextRead(most int)
}
