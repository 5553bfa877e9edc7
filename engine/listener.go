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

	// Inherited are listening sockets of this address that another process has opened: they are taken over, also if an error
	// is returned, and none is opened. Foreign: another process keeps them too, and Close leaves it at that.
	Inherited []int
	Foreign   bool
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
	r, err := reactor.OpenListener(network, address, reactor.ListenOptions{
		Sockets: len(e.loops), Mode: o.Mode, Logger: e.log, Inherited: o.Inherited, Foreign: o.Foreign,
	})
	if err != nil {
		return nil, err
	}
	ln := &Listener{e: e, r: r}
	e.listeners = append(e.listeners, ln)
	return ln, nil
}

// Addr is the address as bound: "127.0.0.1:8080", or the path of a Unix socket.
func (ln *Listener) Addr() string { return ln.r.Addr().String() }

// Close ends listening at once. Connections that were accepted go on until the request in progress is answered, and take
// no further one.
func (ln *Listener) Close() error {
	ln.forget()
	err := ln.r.Close()
	ln.e.onEveryLoop(func(l *loop) error { l.unbind(ln); return nil })
	return err
}

// Files are duplicates of the listening sockets, for a process that is to take over: see OpenOptions.Inherited. The caller
// closes them.
func (ln *Listener) Files() ([]*os.File, error) { return ln.r.Files() }

// HandOver is for a listener whose sockets another process serves now. This one accepts no more; those who wait to be
// accepted, and the file of a Unix socket, are the other's. Connections that were accepted stay here and go on.
func (ln *Listener) HandOver() {
	ln.forget()
	ln.r.HandOver()
}

// forget keeps Drain from closing the listener.
func (ln *Listener) forget() {
	e := ln.e
	e.mu.Lock()
	e.listeners = slices.DeleteFunc(e.listeners, func(l *Listener) bool { return l == ln })
	e.mu.Unlock()
}
