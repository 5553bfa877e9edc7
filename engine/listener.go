package engine

import (
	"os"
	"slices"

	"moonbridge/reactor"
)

// Listener is an address that is listened on. The kernel queues connections from Open on; they are served after Serve.
type Listener struct {
	e *Engine
	r *reactor.Listener
}

// OpenOptions are options of Open.
type OpenOptions struct {
	Mode os.FileMode // permissions of a Unix socket; 0 leaves what the umask makes of it
}

// Open listens on address. network is "tcp4" (host:port), "tcp6" (IPv6 only), "tcp" (on "[::]:port" IPv4 clients are
// served too) or "unix" (a path of at most 107 bytes on Linux: a stale socket file is replaced, anything else there is an
// error, and the file is removed at the end). Port 0 takes a free one: see Addr. The error names the address and the
// cause, as in `listen 127.0.0.1:80: bind: permission denied`.
func (e *Engine) Open(network, address string, o OpenOptions) (*Listener, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, ErrStopped
	}
	r, err := reactor.OpenListener(network, address, reactor.ListenOptions{Sockets: len(e.loops), Mode: o.Mode, Logger: e.log})
	if err != nil {
		return nil, err
	}
	ln := &Listener{e: e, r: r}
	e.listeners = append(e.listeners, ln)
	return ln, nil
}

// Addr is the address as bound: "127.0.0.1:8080", or the path of a Unix socket.
func (ln *Listener) Addr() string { return ln.r.Addr().String() }

// Close ends listening at once; connections that were accepted go on.
func (ln *Listener) Close() error {
	e := ln.e
	e.mu.Lock()
	e.listeners = slices.DeleteFunc(e.listeners, func(l *Listener) bool { return l == ln })
	e.mu.Unlock()
	return ln.r.Close()
}
