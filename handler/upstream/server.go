package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/handler/backend"
)

// Server is a target of a Set, with its health and its load. All loops share it; their connections to it are their own.
type Server struct {
	// Immutable.
	set  *Set
	addr string
	name string
	to   backend.Address
	host string      // field Host of requests
	tls  *tls.Config // nil: none
	seed uint64      // of the address, for Hash

	// Shared.
	weight, slots atomic.Int64
	backup        atomic.Bool
	gone          atomic.Bool  // no longer a target
	active        atomic.Int64 // requests that it has now
	requests      atomic.Uint64
	failures      atomic.Uint64
	upSince       atomic.Int64 // slow start; 0: none
	latency       latency
	health        health
	checks        checks
	conns         conns
}

func newServer(s *Set, t Target, to backend.Address) *Server {
	return &Server{set: s, addr: t.Addr, name: t.Name, to: to, host: t.host(to, s.o.TLS != nil), tls: t.secure(to, s.o.TLS), seed: HashString(t.Addr)}
}

// host is the field Host of requests: the name, and the port unless it is the one of the scheme, or the name has one. Without a name it is the
// address, or localhost for a Unix socket.
func (t Target) host(to backend.Address, secure bool) string {
	port := to.AddrPort.Port()
	name, ported := t.split()
	switch {
	case t.Name == "" && to.Path != "":
		return "localhost" // a path is no host
	case t.Name == "" && to.AddrPort.Addr().Zone() != "":
		return netip.AddrPortFrom(to.AddrPort.Addr().WithZone(""), port).String() // nor is a zone part of one
	case t.Name == "":
		return t.Addr
	case ported:
		return t.Name
	case to.Path == "" && port != 80 && !secure, to.Path == "" && port != 443 && secure:
		return net.JoinHostPort(name, strconv.Itoa(int(port)))
	}
	if ip, err := netip.ParseAddr(name); err == nil && ip.Is6() {
		return "[" + name + "]" // an address that Follow was given, for example
	}
	return name
}

// split is the name without a port, and without the brackets of an IPv6 address. ported: it has a port.
func (t Target) split() (name string, ported bool) {
	if name, _, err := net.SplitHostPort(t.Name); err == nil {
		return name, true
	}
	return strings.TrimSuffix(strings.TrimPrefix(t.Name, "["), "]"), false
}

// secure is the configuration of TLS for this target. What the target has to prove is its name, or its address.
func (t Target) secure(to backend.Address, config *tls.Config) *tls.Config {
	if config == nil || config.ServerName != "" {
		return config
	}
	own := config.Clone()
	if own.ServerName, _ = t.split(); own.ServerName == "" && to.Path == "" {
		own.ServerName = to.AddrPort.Addr().WithZone("").String()
	}
	return own
}

func (v *Server) setTarget(t Target) {
	v.weight.Store(int64(t.Weight))
	v.slots.Store(int64(t.Slots))
	v.backup.Store(t.Backup)
}

// Addr is the address as the Target has it.
func (v *Server) Addr() string { return v.addr }

// Address is where to connect to.
func (v *Server) Address() backend.Address { return v.to }

// Host is the field Host of requests for this target, unless something else decides it.
func (v *Server) Host() string { return v.host }

// TLS is the configuration of TLS for connections to the server. nil: there is none.
func (v *Server) TLS() *tls.Config { return v.tls }

// Gone reports whether the server is no longer a target: its unused connections are to be closed.
func (v *Server) Gone() bool { return v.gone.Load() }

// Active is the number of requests that the server has now.
func (v *Server) Active() int { return int(v.active.Load()) }

// shareUnit is the share of a target with weight 1 after its slow start.
const shareUnit = 100

// Share is the weight of the server in hundredths, less during its slow start, but at least 1.
func (v *Server) Share(now int64) int {
	share := int(v.weight.Load()) * shareUnit
	since, slow := v.upSince.Load(), int64(v.set.o.Slow)
	if since == 0 || slow == 0 {
		return share
	}
	past := max(now-since, 0)
	if past >= slow {
		return share
	}
	return max(1, int(float64(share)*float64(past)/float64(slow)))
}

// begin gives the server a request, unless all its slots are taken.
func (v *Server) begin() bool {
	n := v.active.Add(1)
	if slots := v.slots.Load(); slots > 0 && n > slots {
		v.active.Add(-1)
		return false
	}
	return true
}

// Outcome is how the request of a server has ended.
type Outcome uint8

const (
	// Fine: there was a response that is no failure of the server.
	Fine Outcome = iota
	// Unknown: the request was given up for reasons of the client or the proxy. If it was the trial of the server (Picker.Trial), another
	// request may be.
	Unknown
	// Failed: no connection, no response, or an incomplete one.
	Failed
	// Lasted: a connection is over of which Server.Works has told. Its end says nothing about the server, which may have stopped working
	// long before, and ends no trial.
	Lasted
	// NoTrial is Unknown for a request that was not the trial of its server, or has ended it: it ends none.
	NoTrial
)

// End takes back a request that Picker.Pick has given to the server. now is Loop.Now.
func (v *Server) End(now int64, how Outcome) {
	v.active.Add(-1)
	switch how {
	case Fine:
		v.requests.Add(1)
		if v.health.troubled.Load() {
			v.succeeded(now)
		}
	case Failed:
		v.requests.Add(1)
		v.failed(now)
	case Lasted:
		v.requests.Add(1)
	case Unknown:
		if v.health.troubled.Load() {
			v.health.endTrial()
		}
	}
	if v.slots.Load() > 0 || v.health.troubled.Load() || v.set.queue.waiting.Load() > 0 {
		v.set.queue.becomesFree()
	}
}

// Answered tells how long the head of a response has taken.
func (v *Server) Answered(now int64, took time.Duration) {
	if o := v.set.observer; o != nil {
		o.Answered(v, now, took)
	}
}

// IsLocal reports whether an error of a connection to a target says nothing about the target: this process had no room to try.
func IsLocal(err error) bool {
	if errors.As(err, new(*backend.HandshakeError)) {
		return false
	}
	code, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	switch code {
	case syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM:
		return true
	}
	return false
}
