package listen

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// connectionLimitName is the option with the limits of a client's connections. Its table comes as entries of their own.
const connectionLimitName = "connection_limit"

// connectionBurstMin is the default burst for low rates: a browser opens six connections at once.
const connectionBurstMin = 10

// openMax bounds open: more descriptors than a process can have are a mistake.
const openMax = 1_000_000

// connectionLimitOptions are the values of the table.
var connectionLimitOptions = map[string]func(c *ConnectionLimit, v value) error{
	"rate":  func(c *ConnectionLimit, v value) (err error) { c.Rate, err = v.rate("connections"); return },
	"burst": func(c *ConnectionLimit, v value) (err error) { c.Burst, err = v.integer(1, burstMax); return },
	"open":  func(c *ConnectionLimit, v value) (err error) { c.Open, err = v.integer(1, openMax); return },
}

func (o *Options) setConnectionLimit(name string, v value) error {
	if o.ConnectionLimit == nil {
		o.ConnectionLimit = &ConnectionLimit{}
	}
	set := connectionLimitOptions[name]
	if set == nil {
		return unknown("option of connection_limit:", name, slices.Collect(maps.Keys(connectionLimitOptions)))
	}
	if err := set(o.ConnectionLimit, v); err != nil {
		return fmt.Errorf("option connection_limit: %s: %w", name, err)
	}
	return nil
}

// checkConnectionLimit completes the option, and checks what it needs.
func (s *Spec) checkConnectionLimit() error {
	c := s.Options.ConnectionLimit
	switch {
	case c == nil:
		return nil
	case c.Rate == 0 && c.Open == 0:
		return errors.New("option connection_limit: rate or open is missing")
	case c.Rate == 0 && c.Burst != 0:
		return errors.New("option connection_limit: burst needs rate")
	case !slices.ContainsFunc(s.Listeners, Listener.hasClientAddrs):
		return errors.New("option connection_limit: no listener of the pool knows the addresses of its clients")
	}
	if c.Rate == 0 {
		return nil
	}
	c.Burst = cmp.Or(c.Burst, max(connectionBurstMin, int(c.Rate)))
	return checkRecovery(connectionLimitName, "connections", c.Rate, c.Burst)
}

// hasClientAddrs reports whether the clients of a listener have addresses.
func (l Listener) hasClientAddrs() bool {
	return l.Network() != "" && (l.Proto != "local" || l.ProxyProtocol)
}
