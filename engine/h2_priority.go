package engine

import (
	"encoding/binary"
	"slices"
	"strings"
)

// The order in which responses are sent is that of RFC 9218: urgent ones first; of the same urgency, one after the other in the
// order of their requests, and then those that are of use in parts, by turns. Tunnels have no end that others could wait for: each
// takes turns with the responses of its urgency, and with the other tunnels.

const (
	h2UrgencyDefault = 3
	h2UrgencyLast    = 7
)

// h2Order is the priority of a response.
type h2Order struct {
	urgency     uint8 // 0 comes first
	incremental bool  // parts of it are of use
}

var h2OrderDefault = h2Order{urgency: h2UrgencyDefault}

// parseH2Order parses a Priority field, or what a PRIORITY_UPDATE frame has: a dictionary (RFC 8941 §3.2). What is not understood
// is left out.
func parseH2Order(value string) h2Order {
	o := h2OrderDefault
	for part := range strings.SplitSeq(value, ",") {
		part, _, _ = strings.Cut(part, ";")
		key, v, has := strings.Cut(strings.Trim(part, " \t"), "=")
		switch {
		case key == "u" && len(v) == 1 && v[0] >= '0' && v[0] <= '0'+h2UrgencyLast:
			o.urgency = v[0] - '0'
		case key == "i":
			o.incremental = !has || v == "?1"
		}
	}
	return o
}

// before reports whether st is to send before other.
func (st *h2Stream) before(other *h2Stream) bool {
	a, b := st.order, other.order
	switch {
	case a.urgency != b.urgency:
		return a.urgency < b.urgency
	case st.raw != nil && other.raw != nil:
		if st.turn != other.turn {
			return st.turn < other.turn
		}
	case st.raw != nil:
		return st.turn < st.s.turnOfHTTP
	case other.raw != nil:
		return other.turn >= st.s.turnOfHTTP
	case a.incremental != b.incremental:
		return !a.incremental
	case a.incremental && st.turn != other.turn:
		return st.turn < other.turn
	}
	return st.id < other.id
}

// priorityFrame checks a frame that says nothing any more (RFC 9113 §5.3.2).
func (s *h2Conn) priorityFrame(f h2Frame, p []byte) {
	switch {
	case f.stream == 0:
		s.fail(h2ProtocolError, causeH2Stream)
	case len(p) != 5:
		s.mistakeOf(f.stream, h2FrameSizeError)
	case binary.BigEndian.Uint32(p)&h2LastStream == f.stream:
		s.mistakeOf(f.stream, h2ProtocolError)
	default:
		s.spend(h2CostFrame)
	}
}

// priorityUpdateFrame changes the priority of a response (RFC 9218 §7.1).
func (s *h2Conn) priorityUpdateFrame(f h2Frame, p []byte) {
	switch {
	case f.stream != 0:
		s.fail(h2ProtocolError, causeH2Stream)
		return
	case len(p) < 4:
		s.fail(h2FrameSizeError, causeH2FrameSize)
		return
	case !s.spend(h2CostFrame):
		return
	}
	id, order := binary.BigEndian.Uint32(p)&h2LastStream, parseH2Order(string(p[4:]))
	if id == 0 {
		s.fail(h2ProtocolError, causeH2Stream)
	} else if st := s.stream(id); st != nil {
		st.order = order
	} else if id > s.seenID {
		s.keepOrder(id, order)
	}
}

// h2EarlyOrder is the priority of a stream that has not begun. The frame may come before the request.
type h2EarlyOrder struct {
	id    uint32
	order h2Order
}

func (s *h2Conn) keepOrder(id uint32, order h2Order) {
	i := slices.IndexFunc(s.orders, func(e h2EarlyOrder) bool { return e.id == id })
	if i >= 0 {
		s.orders[i].order = order
	} else if len(s.orders) < h2OrdersKept {
		s.orders = append(s.orders, h2EarlyOrder{id, order})
	}
}

// takeOrder is the priority of a stream that begins: what a frame has said goes before the field of the request. Streams with lower ids that have not
// begun never will.
func (s *h2Conn) takeOrder(id uint32, order h2Order) h2Order {
	for _, e := range s.orders {
		if e.id == id {
			order = e.order
		}
	}
	s.orders = slices.DeleteFunc(s.orders, func(e h2EarlyOrder) bool { return e.id <= id })
	if len(s.orders) == 0 {
		s.orders = nil
	}
	return order
}
