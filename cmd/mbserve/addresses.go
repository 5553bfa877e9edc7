package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"moonbridge/engine"
	"moonbridge/handler/pool/listen"
	"moonbridge/reactor"
)

// address is an address that the server listens on. Generations share it: if a new generation asks for the same
// address, it gets the same socket, so that no connection is refused in between. If it asks for another address of the same
// port, for example all interfaces after one, the new socket is opened beside the old one, which is closed when the new one
// serves.
type address struct {
	key     string
	at      reactor.Endpoint // for TCP
	ln      *engine.Listener
	foreign bool        // of the service manager, which keeps it
	shared  bool        // the process that we take over from still serves it
	used    *generation // the latest generation that uses it; nil: none yet, for one that another process has opened
	old     *generation // the one that used it before, until the latest one serves
}

// wanted is what a listener of a script asks for.
type wanted struct {
	network, address string
	key              string
	at               reactor.Endpoint // for TCP, if its name can be looked up
	err              error            // why it cannot
}

func wantedBy(spec *listen.Listener) (w wanted) {
	w.network, w.address = spec.Network(), spec.Address()
	w.key = key(w.network, w.address)
	if w.network != "unix" {
		w.at, w.err = reactor.EndpointOf(w.network, w.address)
	}
	return w
}

// is reports whether an open address is the one that is wanted. Port 0 is any: the one that was found for it is kept.
func (w *wanted) is(a *address) bool {
	if w.network == "unix" {
		return a.key == w.key && (a.foreign || a.ln.InPlace())
	}
	if w.at.Port == 0 { // or the name cannot be looked up
		return a.key == w.key
	}
	return a.at == w.at
}

// claimAddress returns the address for a listener: an open one that this generation does not use yet, or a new one.
func (g *generation) claimAddress(spec *listen.Listener) (*address, error) {
	w := wantedBy(spec)
	s := g.s
	s.listening.Lock()
	defer s.listening.Unlock()
	for _, a := range s.addresses {
		if a.used == g && a.at.Overlaps(w.at) {
			// If the old generation has both, both are open, and would not be after a restart.
			return nil, fmt.Errorf("listen %s: %w", w.address, os.NewSyscallError("bind", syscall.EADDRINUSE))
		}
	}
	for _, a := range s.addresses {
		if a.used != g && w.is(a) {
			a.old, a.used = a.used, g
			return a, nil
		}
	}
	a, err := s.openAddress(&w, spec)
	if err != nil {
		return nil, err
	}
	a.used = g
	s.addresses = append(s.addresses, a)
	return a, nil
}

// openAddress opens an address for a generation that does not serve yet. Under listening.
func (s *server) openAddress(w *wanted, spec *listen.Listener) (*address, error) {
	var o engine.OpenOptions
	if spec.HasMode {
		o.Mode = spec.Mode
	}
	if o.Inherited = s.inherited.takeForeign(w.key); o.Inherited != nil {
		o.Foreign = true
	}
	for _, a := range s.addresses {
		if !a.foreign {
			o.Beside = append(o.Beside, a.ln)
		}
	}
	ln, err := s.openListener(w, o)
	if err != nil {
		return nil, err
	}
	return newAddress(w.key, w.network, ln, o.Foreign), nil
}

func newAddress(k, network string, ln *engine.Listener, foreign bool) *address {
	a := &address{key: k, ln: ln, foreign: foreign}
	if network != "unix" {
		a.at, _ = reactor.EndpointOf(network, ln.Addr())
	}
	return a
}

// adoptSockets takes over the sockets of the server that this one replaces, before the script asks for any.
func (s *server) adoptSockets() error {
	s.listening.Lock()
	defer s.listening.Unlock()
	for _, p := range s.inherited.own {
		network, at, _ := strings.Cut(p.key, " ")
		ln, err := s.engine.Open(network, at, engine.OpenOptions{Inherited: p.fds})
		if err != nil {
			return err
		}
		a := newAddress(p.key, network, ln, false)
		a.shared = true
		s.addresses = append(s.addresses, a)
	}
	return nil
}

// leaveShared leaves the sockets to the process that we did not take over from after all.
func (s *server) leaveShared() {
	s.listening.Lock()
	defer s.listening.Unlock()
	for _, a := range s.addresses {
		if a.shared {
			a.ln.HandOver()
		}
	}
}

// releaseAddress undoes claimAddress, for a generation that will not serve.
func (g *generation) releaseAddress(a *address) {
	if a == nil {
		return
	}
	s := g.s
	s.listening.Lock()
	defer s.listening.Unlock()
	if a.old != nil || a.shared {
		a.used, a.old = a.old, nil
		return
	}
	if a.foreign {
		s.giveBack(a)
	} else {
		a.ln.Close()
	}
	s.addresses = slices.DeleteFunc(s.addresses, func(b *address) bool { return a == b })
}

// prepareAddresses does what can still fail before the generation serves: it starts listening where the address was only
// bound, and gives the files of Unix sockets the owners and permissions that the script asks for now.
func (g *generation) prepareAddresses() error {
	for _, ls := range g.listeners {
		for _, l := range ls {
			if l.at == nil {
				continue
			}
			if err := l.at.ln.Listen(); err != nil {
				return err
			}
		}
	}
	return g.setModes()
}

// setModes changes owners and permissions only where they differ: this process may no longer be allowed to change them.
func (g *generation) setModes() (err error) {
	var undo []func()
	for _, ls := range g.listeners {
		for _, l := range ls {
			if l.at == nil || l.at.foreign {
				continue
			}
			if err == nil && (l.spec.Owner != "" || l.spec.Group != "") {
				undo = append(undo, nil)
				undo[len(undo)-1], err = setOwner(l.spec)
			}
			if err == nil && l.spec.HasMode {
				undo = append(undo, nil)
				undo[len(undo)-1], err = setMode(l.spec.Path, l.spec.Mode)
			}
		}
	}
	if err != nil {
		for _, f := range undo {
			if f != nil {
				f()
			}
		}
	}
	return err
}

// setMode changes the permissions of a file. undo is nil if they are right already.
func setMode(path string, mode os.FileMode) (undo func(), err error) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() == mode {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, err
	}
	return func() { os.Chmod(path, info.Mode().Perm()) }, nil
}

// leaveOthers lets go of the addresses that the generation does not use, now that it serves. An address is kept, and served
// too, if the generation listens on a larger one that includes it: a connection that arrived while it is being closed would
// be refused, although its address stays served.
func (g *generation) leaveOthers() {
	s := g.s
	s.listening.Lock()
	defer s.listening.Unlock()
	s.addresses = slices.DeleteFunc(s.addresses, func(a *address) bool {
		a.old, a.shared = nil, false
		if a.used == g || g.serveIncluded(a) {
			return false
		}
		if a.foreign {
			s.giveBack(a)
			return true
		}
		if err := a.ln.Close(); err != nil && !errors.Is(err, os.ErrNotExist) {
			g.log.Warn("listener not closed properly", "address", a.key, "err", err)
		}
		return true
	})
}

// giveBack keeps a socket of the service manager for another generation. Nothing accepts from it until then. Under listening.
func (s *server) giveBack(a *address) {
	files, err := a.ln.Files()
	if err != nil {
		s.log.Warn("socket of the service manager not kept", "socket", a.key, "err", err)
	}
	for _, f := range files {
		if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			s.inherited.addForeign(a.key, fd)
		}
		f.Close()
	}
	a.ln.HandOver()
}

// serveIncluded serves an address that an address of the generation includes. It reports whether there is one.
func (g *generation) serveIncluded(a *address) bool {
	for n, ls := range g.listeners {
		for i, l := range ls {
			if l.at != nil && !a.foreign && l.at.at.Covers(a.at) {
				return g.serveAt(a, n, i) == nil
			}
		}
	}
	return false
}
