package websocket

import "sync/atomic"

// Budget bounds the memory of messages that have arrived in part, and of those that a Handler keeps until it can take them. Endpoints
// may share one.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget makes a Budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Take takes n bytes. false: there are not so many.
func (b *Budget) Take(n int) bool {
	if b.used.Add(int64(n)) > b.max {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// Give gives back what was taken.
func (b *Budget) Give(n int) { b.used.Add(-int64(n)) }

// Used is how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// append adds b to the message that is being received. false: there is no memory for it.
func (c *Conn) append(b []byte) bool {
	n := len(c.in.data) + len(b)
	if n > cap(c.in.data) {
		size := max(n, min(2*cap(c.in.data), int(c.maxMessage)))
		if !c.e.o.Budget.Take(size - cap(c.in.data)) {
			return false
		}
		larger := make([]byte, len(c.in.data), size)
		copy(larger, c.in.data)
		c.in.data = larger
	}
	c.in.data = append(c.in.data, b...)
	return true
}

// forget drops what has arrived of a message.
func (c *Conn) forget() {
	c.e.o.Budget.Give(cap(c.in.data))
	c.in.data = nil
}
