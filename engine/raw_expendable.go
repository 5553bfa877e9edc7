package engine

// A connection to another server that is kept for later holds a descriptor, which a new client may need.

// SetExpendable implements backend.Expendable.
func (c *rawConn) SetExpendable(yes bool) {
	if !c.state.over() {
		c.expend(yes)
	}
}

func (c *rawConn) expend(yes bool) {
	switch {
	case yes == c.expendable:
		return
	case yes:
		c.l.raw.expendable++
	default:
		c.l.raw.expendable--
	}
	c.expendable = yes
}

// admits is Engine.admit. If open files are what there is no room for, an expendable connection of the loop gives up its place. Those of
// other loops would have to be asked.
func (l *loop) admits() bool {
	e := l.e
	return e.admit() || e.conns.Load() < e.connsMax && l.giveUp() && e.admit()
}

// giveUp closes the expendable connection that was opened first. false: there is none.
func (l *loop) giveUp() bool {
	if l.tls != nil && l.tls.twin.giveUp() {
		return true
	}
	if l.raw.expendable == 0 {
		return false // often there are many others
	}
	var oldest *rawConn
	for c := range l.raw.conns.All() {
		if c.expendable && c.state == rawOpen {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.Close()
	oldest.resume() // now, so that its place is free
	return true
}
