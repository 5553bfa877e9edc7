package tcpproxy

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
)

// Config of a Proxy. Only To must be set. The functions are called on the loop: they must not block. A panic in
// one of them ends its connection alone, with ErrPanic.
type Config struct {
	// To chooses the service for a connection. nil: it is reset.
	To func(c *Client) *upstream.Set

	// Sniff says what is looked for in the first bytes of a connection before To is called. A client of a protocol in which the
	// server speaks first would wait in vain.
	Sniff Sniff
	// SniffTime is how long a connection may take to send what is looked for. Then it is reset. Default 5 s.
	SniffTime time.Duration
	// SniffBytes is how many bytes are looked at. Default 16 KiB. More than Bounds.Input counts as that.
	SniffBytes int

	// ProxyOut is the version of the PROXY protocol, 1 or 2, whose header is sent to targets, before the TLS handshake if upstream.Options
	// has TLS. 0: none is sent.
	ProxyOut int
	// Tries is how many targets are tried for a connection. Default 3.
	Tries int
	// Sessions is how many connections of clients there may be, on all loops together. Others are reset. 0: no bound but that of the
	// engine.
	Sessions int
	// Bounds are those of all connections; Proxy.Bounds has their defaults filled in. Idle counts bytes of both directions, and a target
	// that takes less than half of Output within that time counts as idle. Default 1 h; negative: never.
	Bounds backend.Bounds

	// Ended is called when a session is over. nil: nothing is.
	Ended func(*Ended)
	// Logger receives, at a bounded rate, why connections were refused, and panics of To and Ended with their stacks. nil: slog.Default().
	Logger *slog.Logger
}

// Sniff says what is looked for in first bytes.
type Sniff uint8

const (
	SniffNothing Sniff = iota
	SniffTLS           // the server name of a ClientHello (RFC 6066 §3)
	SniffHTTP          // the field Host of a request
	SniffBoth          // the one or the other, by the first byte
)

// Client is what is known about a connection. It is valid until To or Ended returns.
type Client struct {
	Local, Remote netip.AddrPort // as backend.Conn.Addrs has them
	// Name is the name that was found, in lower case and without a port. "": there is none, or what came is not what was looked for.
	Name string
	// First are the bytes that have come, a view. It is empty without Sniff.
	First []byte
}

// Ended describes a session that is over.
type Ended struct {
	Client *Client       // without First
	Target string        // "": there was none
	Took   time.Duration // since the connection was accepted
	Err    error         // nil: both sides have finished
}

// Why a connection is refused. A target whose connection failed has an error of its own, of the system.
var (
	ErrNoService = errors.New("no service for the connection")
	ErrNoTarget  = errors.New("no target")
	ErrBusy      = errors.New("all targets are busy")
	ErrSessions  = errors.New("too many sessions")
	ErrSniffTime = errors.New("first bytes not received in time")
	ErrPanic     = errors.New("panic in a function of the Config")
)

const (
	sniffTimeDefault  = 5 * time.Second
	sniffBytesDefault = 16 << 10
	triesDefault      = 3
	idleDefault       = 3600 * time.Second
	inputDefault      = 64 << 10
)

func (c Config) resolve() Config {
	if c.To == nil {
		c.To = func(*Client) *upstream.Set { return nil }
	}
	c.SniffTime = cmp.Or(max(c.SniffTime, 0), sniffTimeDefault)
	c.Tries = cmp.Or(max(c.Tries, 0), triesDefault)
	c.Bounds.Idle = max(cmp.Or(c.Bounds.Idle, idleDefault), 0)
	c.Bounds.Input = cmp.Or(max(c.Bounds.Input, 0), inputDefault)
	c.SniffBytes = min(cmp.Or(max(c.SniffBytes, 0), sniffBytesDefault), c.Bounds.Input)
	if c.Ended == nil {
		c.Ended = func(*Ended) {}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// To is a Config.To for a proxy with one service.
func To(s *upstream.Set) func(*Client) *upstream.Set {
	return func(*Client) *upstream.Set { return s }
}
