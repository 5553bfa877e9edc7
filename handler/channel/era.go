package channel

import (
	"strconv"
	"strings"
)

// era is a part of the order of a hub in which ids have the same name. An id says the name, and a place that is counted from base: so
// it can mean the same in several hubs whose orders began at different times.
type era struct {
	name string
	base uint64
}

func (h *Hub) era() *era { return h.eraNow.Load() }

// id is the id of the message that is seq in the order of the hub.
func (e *era) id(seq uint64) string {
	return e.name + "-" + strconv.FormatUint(max(seq, e.base)-e.base, 10)
}

// seq is the place in the order that an id of this era says.
func (e *era) seq(id string) (seq uint64, ok bool) {
	name, digits, ok := strings.Cut(id, "-")
	if !ok || name != e.name {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n + e.base, err == nil && n+e.base >= n
}
