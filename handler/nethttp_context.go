package handler

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// httpContext is the context of a request on the loop, with the values that net/http's own server gives it.
type httpContext struct {
	context.Context
	server *http.Server
	local  netip.AddrPort
}

// context returns the context of r. A ConnContext function is called for each connection, even if no handler looks at contexts.
func (a *httpHandler) context(r *Request) context.Context {
	local, remote := r.addrs()
	if r.src != nil {
		if a.options.ConnContext != nil {
			r.src.context()
		}
		return &lazyContext{r.src, a.server}
	}
	var conn context.Context
	if s := scopeOf(a, r.x); s != nil {
		conn = s.context(local, remote)
	}
	return &httpContext{a.parent(conn), a.server, local}
}

// Value returns the server, the local address, or a value of the context within.
func (c *httpContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.server
	case http.LocalAddrContextKey:
		return netAddr(c.local)
	}
	return c.Context.Value(key)
}

// lazyContext is the context of a request on a goroutine. The context that is cancelled with the exchange is made when a handler
// first asks for it, which few do.
type lazyContext struct {
	src    source
	server *http.Server
}

func (c *lazyContext) Deadline() (time.Time, bool) { return c.src.context().Deadline() }
func (c *lazyContext) Done() <-chan struct{}       { return c.src.context().Done() }
func (c *lazyContext) Err() error                  { return c.src.context().Err() }

// Value is like that of httpContext.
func (c *lazyContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.server
	case http.LocalAddrContextKey:
		local, _ := c.src.addrs()
		return netAddr(local)
	}
	return c.src.context().Value(key)
}
