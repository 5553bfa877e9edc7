package engine

import (
	"slices"

	"moonbridge/handler/list"
)

// rawLoop is what a loop has of raw connections.
type rawLoop struct {
	sys    *system
	conns  list.List[rawConn]
	agains resumption[*rawConn]
	dials  map[*dialing]struct{}
	pipes  pipes

	expendable int // of conns
}

func (r *rawLoop) init(sys *system) {
	r.sys = sys
	r.agains.init(sys, (*rawConn).resume)
	r.conns = list.New(func(c *rawConn) *list.Links[rawConn] { return &c.links })
	r.dials = make(map[*dialing]struct{})
}

// all is a copy of the list, for a caller that calls Streams: those may end any connection.
func (r *rawLoop) all() []*rawConn {
	return slices.AppendSeq(make([]*rawConn, 0, r.conns.Len()), r.conns.All())
}
