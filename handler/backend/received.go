package backend

// BodyReceiver is implemented by an Exchange that may have the whole body of its request although it says that more will come: a
// wrapper that decodes the body only if the handler reads it.
type BodyReceiver interface {
	// BodyReceived reports whether the body was received. Then another request can follow on the connection even if the handler does
	// not read the body. It does not change after Start, and any goroutine may call it.
	BodyReceived() bool
}

// BodyReceived reports whether x has the whole body of its request, whatever was said about more.
func BodyReceived(x Exchange) bool {
	r, ok := x.(BodyReceiver)
	return ok && r.BodyReceived()
}
