package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"moonbridge/handler/backend"
)

// Target is a server that requests can be sent to.
type Target struct {
	// Addr is an IP address with a port ("10.0.0.1:8080", "[::1]:8080"), or "unix:" and the path of a socket. A host name is for
	// Set.Follow only.
	Addr string
	// Name is the name of the host, for TLS (Options.TLS) and for the field Host of requests. "": it is the address, or localhost for a Unix socket. Follow
	// sets it. It may have a port, which is that of the field Host then.
	Name string
	// Weight is the share of the target in the requests, compared with that of others: 1 to 1000. 0 means 1.
	Weight int
	// Slots is how many requests the target gets at a time. 0: no bound.
	Slots int
	// Backup is for a target that is used only while fewer of the others are up than Passive.Panic asks for, and for requests that all others
	// which are up have failed.
	Backup bool
}

// Targets are the targets with these addresses, and nothing else set.
func Targets(addresses ...string) []Target {
	list := make([]Target, len(addresses))
	for i, address := range addresses {
		list[i].Addr = address
	}
	return list
}

// Errors of New and Set.Replace.
var (
	ErrAddress = errors.New("not an IP address with a port, nor unix: and a path")
	ErrWeight  = errors.New("weight is not between 0 and 1000")
	ErrTwice   = errors.New("address is given twice")
)

const weightMax = 1000

// check returns the target with its defaults, and where to connect to.
func (t Target) check() (Target, backend.Address, error) {
	var to backend.Address
	if path, ok := strings.CutPrefix(t.Addr, "unix:"); ok && path != "" {
		to.Path = path
	} else if ap, err := netip.ParseAddrPort(t.Addr); err == nil && ap.Port() != 0 {
		to.AddrPort = ap
	} else {
		return t, to, fmt.Errorf("target %q: %w", t.Addr, ErrAddress)
	}
	if t.Weight < 0 || t.Weight > weightMax {
		return t, to, fmt.Errorf("target %q: %w", t.Addr, ErrWeight)
	}
	t.Weight = cmp.Or(t.Weight, 1)
	t.Slots = max(t.Slots, 0)
	return t, to, nil
}
