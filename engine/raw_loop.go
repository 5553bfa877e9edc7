package engine

// rawLoop is what a loop has of raw connections.
type rawLoop struct {
	sys      *system
	first    *rawConn // of the list of connections
	len      int
	agains   []*rawConn // to be resumed
	resuming []*rawConn // the other of two buffers that take turns
	resume   func()     // resumeAll, made once
	dials    map[*dialing]struct{}
	pipes    pipes
}

func (r *rawLoop) init(sys *system) {
	r.sys = sys
	r.resume = r.resumeAll
	r.dials = make(map[*dialing]struct{})
}

// resumeLater makes the loop call c.resume among the next posted tasks.
func (r *rawLoop) resumeLater(c *rawConn) {
	r.agains = append(r.agains, c)
	if len(r.agains) == 1 {
		r.sys.post(r.resume)
	}
}

func (r *rawLoop) resumeAll() {
	r.agains, r.resuming = r.resuming[:0], r.agains
	for i, c := range r.resuming {
		r.resuming[i] = nil
		c.resume()
	}
}

func (r *rawLoop) link(c *rawConn) {
	c.next = r.first
	if c.next != nil {
		c.next.prev = c
	}
	r.first = c
	r.len++
}

func (r *rawLoop) unlink(c *rawConn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		r.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	r.len--
}

// all is a copy of the list, for a caller that calls Streams: those may end any connection.
func (r *rawLoop) all() []*rawConn {
	all := make([]*rawConn, 0, r.len)
	for c := r.first; c != nil; c = c.next {
		all = append(all, c)
	}
	return all
}
