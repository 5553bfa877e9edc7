package handler

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"moonbridge/handler/backend"
)

// HTTPOptions are what an http.Server has besides its Handler, for handlers of HTTP. The zero value has none of it, and costs
// nothing.
type HTTPOptions struct {
	// BaseContext is the parent of the contexts of all requests. nil: context.Background().
	BaseContext context.Context
	// ConnContext makes the parent of the contexts of a connection's requests from BaseContext, before its first request. c tells
	// the two addresses. Everything else on it fails, because the connection belongs to its loop. Calls for several connections
	// overlap. With OnLoop it must not block. Where routes lead the requests of one connection to several handlers that have such a function,
	// it is called again each time another one of them is next.
	ConnContext func(ctx context.Context, c net.Conn) context.Context
	// ErrorLog gets the panics of handlers, in the words of net/http, in place of Config.Logger. It is the ErrorLog of the
	// http.Server in the contexts. nil: both go to the Logger.
	ErrorLog *log.Logger
}

// HTTP is like the function HTTP, with the options of o.
func (o HTTPOptions) HTTP(h http.Handler) Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	return newHTTPHandler(h, nil, o)
}

type httpHandler struct {
	h       http.Handler
	server  *http.Server
	options HTTPOptions
	base    context.Context // has the server; for ConnContext
}

// newHTTPHandler returns a handler whose server logs to o.ErrorLog or l, or to slog.Default() if both are nil.
func newHTTPHandler(h http.Handler, l *slog.Logger, o HTTPOptions) *httpHandler {
	lines := o.ErrorLog
	if lines == nil {
		lines = log.New(errorLog{l}, "", 0)
	}
	a := &httpHandler{h: h, server: &http.Server{Handler: h, ErrorLog: lines}, options: o}
	a.base = context.WithValue(a.parent(nil), http.ServerContextKey, a.server)
	return a
}

// withLogger returns h with the logger of a Config, if it is a handler for net/http.
func withLogger(h Handler, l *slog.Logger) Handler {
	if a, ok := h.(*httpHandler); ok {
		return newHTTPHandler(a.h, l, a.options)
	}
	return h
}

// panicLog is where the panics of h are logged, or nil for the Logger of the Config.
func panicLog(h Handler) *log.Logger {
	if a, ok := h.(*httpHandler); ok {
		return a.options.ErrorLog
	}
	return nil
}

// connScope is what a handler keeps for a connection: the parent of the contexts of its requests.
type connScope struct {
	of   *httpHandler
	once sync.Once
	ctx  context.Context
}

// scopeOf returns the scope of the connection of x. It is called on the loop. nil: there is none.
func scopeOf(h Handler, x backend.Exchange) *connScope {
	a, ok := h.(*httpHandler)
	if !ok || a.options.ConnContext == nil {
		return nil
	}
	keeper, keeps := x.(backend.ConnKeeper)
	if keeps {
		if s, ok := keeper.ConnValue().(*connScope); ok && s.of == a {
			return s
		}
	}
	s := &connScope{of: a}
	if keeps {
		keeper.SetConnValue(s)
	}
	return s
}

// context returns the result of ConnContext, which it calls the first time.
func (s *connScope) context(local, remote netip.AddrPort) context.Context {
	s.once.Do(func() {
		s.ctx = s.of.options.ConnContext(s.of.base, addrConn{local, remote})
	})
	if s.ctx == nil {
		panic("handler: ConnContext returned nil")
	}
	return s.ctx
}

// parent returns the parent of a request's context, given the context of its connection or nil.
func (a *httpHandler) parent(conn context.Context) context.Context {
	switch {
	case conn != nil:
		return conn
	case a.options.BaseContext != nil:
		return a.options.BaseContext
	}
	return context.Background()
}

// addrConn is a connection of which only the addresses are known.
type addrConn struct{ local, remote netip.AddrPort }

var errOnLoop = errors.New("handler: the connection belongs to its loop")

func (c addrConn) LocalAddr() net.Addr              { return netAddr(c.local) }
func (c addrConn) RemoteAddr() net.Addr             { return netAddr(c.remote) }
func (c addrConn) Read([]byte) (int, error)         { return 0, errOnLoop }
func (c addrConn) Write([]byte) (int, error)        { return 0, errOnLoop }
func (c addrConn) Close() error                     { return errOnLoop }
func (c addrConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c addrConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c addrConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
