package engine

import "moonbridge/handler/backend"

// keepTrailer keeps the next bytes of the body's trailer section for a backend that wants it. Most sections are empty: only
// the empty line that ends them.
func (c *conn) keepTrailer(p []byte) {
	x := &c.exchange
	first := c.body.TrailerLen() == len(p)
	if first && p[0] == '\r' || !first && (x.extras == nil || x.extras.trailer == nil) {
		return
	}
	if _, wanted := x.running.(backend.Trailered); wanted {
		x.extra().trailer = append(x.extra().trailer, p...)
	}
}

// passTrailer gives the trailer section to the backend, before the end of the body.
func (c *conn) passTrailer() {
	x := c.exchange.extras
	if x == nil || x.trailer == nil {
		return
	}
	c.exchange.running.(backend.Trailered).BodyTrailer(x.trailer)
	x.trailer = nil
}
