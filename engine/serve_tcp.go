package engine

import "moonbridge/handler/backend"

// ServeTCP is Open and Serve for the usual case: it listens on the TCP address host:port, for IPv4 and IPv6, and serves it with b, which
// gets the index 0. The errors are those of the two. After an error the address is not listened on.
func (e *Engine) ServeTCP(address string, b backend.Backend, lim Limits) (*Listener, error) {
	if e.onLoop() {
		return nil, ErrOnLoop
	}
	mustCompare("ServeTCP", b)
	ln, err := e.Open("tcp", address, OpenOptions{})
	if err != nil {
		return nil, err
	}
	if err := e.Serve(ln, b, 0, lim); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}
