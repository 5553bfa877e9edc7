package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// Listener is an address that is listened on. The kernel queues connections from Open on; they are served after Serve or
// ServeSockets.
type Listener struct {
	e *Engine
	r *reactor.Listener // nil: adopted

	adopted *adopted // nil: r

	tls     atomic.Pointer[TLS]             // see SetTLS
	preface atomic.Pointer[backend.Preface] // see SetPreface

	connLimit atomic.Pointer[ConnLimit] // see SetConnLimit
	openLimit atomic.Pointer[OpenLimit] // see SetOpenLimit
}

// OpenOptions are options of Open.
type OpenOptions struct {
	Mode os.FileMode // permissions of a Unix socket; 0 leaves those that the umask results in

	// Beside are listeners of this engine that may be closed soon. If they listen on the same port, at an address that overlaps
	// with the new one, the port is shared for that long. The new listener then does not listen before Listen is called.
	Beside []*Listener

	// Inherited are listening sockets of this address that another process has opened. Open takes them over, even if it
	// returns an error, and opens no others.
	Inherited []int
	// Files are such sockets, too, in files, as Listener.Files returns them. Open duplicates them, and leaves the files to the caller.
	Files []*os.File
	// Foreign says that another process keeps the inherited sockets, so Close leaves them open there.
	Foreign bool
}

// Open listens on address. network is one of
//   - "tcp4": host:port, for IPv4
//   - "tcp6": host:port, for IPv6 only
//   - "tcp": host:port, for both; on "[::]:port" or ":port" IPv4 clients are served too
//   - "unix": a path of at most 107 bytes (103 on BSD and macOS). A stale socket file is replaced, anything else there is
//     an error, and the file is removed by Close.
//
// A host name is looked up, which may block. Port 0 is replaced by a free port: see Addr. The error is ErrStopped, or names
// the address and the cause, as in `listen 127.0.0.1:80: bind: permission denied`.
func (e *Engine) Open(network, address string, o OpenOptions) (*Listener, error) {
	if e.isStopped() {
		closeAll(o.Inherited)
		return nil, ErrStopped
	}
	var beside []*reactor.Listener
	for _, other := range o.Beside {
		if other.r != nil {
			beside = append(beside, other.r)
		}
	}
	copies, err := reactor.Descriptors(o.Files)
	if err != nil {
		closeAll(o.Inherited)
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	// Without the lock: a name server, or a disk with the file of a Unix socket, may take long, and the engine must be able to end meanwhile.
	r, err := reactor.OpenListener(network, address, reactor.ListenOptions{
		Sockets: len(e.loops), Mode: o.Mode, Logger: e.log, Beside: beside, Inherited: slices.Concat(o.Inherited, copies), Foreign: o.Foreign,
	})
	if err != nil {
		return nil, err
	}
	ln := &Listener{e: e, r: r}
	if !e.owns(ln) {
		r.Close()
		return nil, ErrStopped
	}
	return ln, nil
}

func (e *Engine) isStopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

// owns makes ln one of the listeners that Drain closes. false: the engine has stopped.
func (e *Engine) owns(ln *Listener) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.listeners = append(e.listeners, ln)
	return true
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// fillLoops is for connections that are accepted from now on: see Options.Fill.
func (ln *Listener) fillLoops(n int) {
	if ln.r != nil {
		ln.r.Fill(n)
	}
}

// Addr is the address as bound: "127.0.0.1:8080", or the path of a Unix socket.
func (ln *Listener) Addr() string {
	if ln.adopted != nil {
		return ln.adopted.ln.Addr().String()
	}
	return ln.r.Addr().String()
}

// Listen starts listening if Open has only bound the address: see OpenOptions.Beside. Serve and ServeSockets do the same.
func (ln *Listener) Listen() error {
	if ln.adopted != nil {
		return nil
	}
	return ln.r.Listen()
}

// InPlace reports whether peers find the listener at its address: the file of a Unix socket may have been removed, or the
// path may lead elsewhere by now.
func (ln *Listener) InPlace() bool { return ln.adopted != nil || ln.r.InPlace() }

// Close stops listening at once. Accepted connections finish the request in progress and then end. The error is that of
// removing the file of a Unix socket.
func (ln *Listener) Close() error {
	if ln.e.onLoop() {
		return ErrOnLoop
	}
	ln.forget()
	err := ln.stop()
	ln.e.onEveryLoop(func(l *loop) error { l.unbind(ln); return nil })
	return err
}

// Files returns duplicates of the listening sockets, for a process that takes over: see OpenOptions.Files. The caller
// closes them. The error is net.ErrClosed after Close, that of duplicating a descriptor, or errors.ErrUnsupported after Adopt.
func (ln *Listener) Files() ([]*os.File, error) {
	if ln.adopted != nil {
		return nil, errors.ErrUnsupported
	}
	return ln.r.Files()
}

// HandOver gives up a listener whose sockets another process serves now. This process accepts no more; the connections that
// wait to be accepted, and the file of a Unix socket, are left to the other. Accepted connections stay here and continue.
func (ln *Listener) HandOver() {
	ln.forget()
	if ln.adopted != nil {
		ln.stop()
		return
	}
	ln.r.HandOver()
}

// forget keeps Drain from closing the listener.
func (ln *Listener) forget() {
	e := ln.e
	e.mu.Lock()
	e.listeners = slices.DeleteFunc(e.listeners, func(l *Listener) bool { return l == ln })
	e.mu.Unlock()
}
