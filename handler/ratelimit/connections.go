package ratelimit

import (
	"net/netip"
)

// AbuseCost is how many connections one counts as that was ended because of what its client has done.
const AbuseCost = 10

// ConnOptions are the options of Connections.
type ConnOptions struct {
	Rate  float64 // new connections per second, more than 0
	Burst int     // of them at once, at least 1

	// Exempt reports whether a client is not limited, for example because it is a proxy. nil: everybody is. It is called on the loops.
	Exempt func(client netip.Addr) bool

	// Table is what has been counted already, by Connections with the same rate. Default: a new one.
	Table *Table
}

// Connections limits the rate of new connections of each client. It is an engine.ConnLimit; several listeners may have the same one,
// and count together then.
type Connections struct {
	exempt     func(client netip.Addr) bool
	table      *Table
	each, most int64 // nanoseconds
}

// NewConnections returns a limit for connections.
func NewConnections(o ConnOptions) (*Connections, error) {
	each, most, err := intervals(o.Rate, o.Burst)
	if err != nil {
		return nil, err
	}
	c := &Connections{exempt: o.Exempt, table: o.Table, each: each, most: most}
	if c.table == nil {
		c.table = NewTable()
	}
	return c, nil
}

// Table is what has been counted.
func (c *Connections) Table() *Table { return c.table }

// limits reports whether a client is limited. Those of Unix sockets have no address, and are not.
func (c *Connections) limits(client netip.Addr) bool {
	return client.IsValid() && (c.exempt == nil || !c.exempt(client))
}

// Admit implements engine.ConnLimit. One that is refused is not counted.
func (c *Connections) Admit(client netip.Addr, now int64) bool {
	return !c.limits(client) || c.table.take(addressed(client), now, c.each, c.most) == 0
}

// Abused implements engine.ConnLimit: the connection counts as AbuseCost more.
func (c *Connections) Abused(client netip.Addr, now int64) {
	if c.limits(client) {
		c.table.charge(addressed(client), now, AbuseCost*c.each, c.most)
	}
}
