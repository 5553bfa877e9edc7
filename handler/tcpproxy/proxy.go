package tcpproxy

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/handler/upstream"
)

// Proxy is a backend.Protocol. It may serve several listeners, of one engine.
type Proxy struct {
	config   Config
	tally    *logging.Tally
	panics   *logging.Panics
	sessions atomic.Int64
	setUp    sync.Once
	loops    []loop // by their index
}

// New makes a Proxy. It panics if ProxyOut or Sniff has a value that does not exist.
func New(c Config) *Proxy {
	switch {
	case c.ProxyOut < 0 || c.ProxyOut > 2:
		panic(fmt.Sprintf("tcpproxy.New: ProxyOut %d: the versions of the PROXY protocol are 1 and 2", c.ProxyOut))
	case c.Sniff > SniffBoth:
		panic(fmt.Sprintf("tcpproxy.New: Sniff %d: there is no such value", c.Sniff))
	}
	p := &Proxy{config: c.resolve()}
	p.tally = logging.NewTally(p.config.Logger)
	p.panics = logging.NewPanics(p.config.Logger)
	return p
}

// Bounds are the bounds of all connections, for engine.ProtocolOptions.
func (p *Proxy) Bounds() backend.Bounds { return p.config.Bounds }

// Sessions is how many there are now.
func (p *Proxy) Sessions() int64 { return p.sessions.Load() }

// loop is the proxy on one loop.
type loop struct {
	backend.Loop
	dialer  backend.Dialer
	pickers map[*upstream.Set]*upstream.Picker
}

// on returns the proxy's part on a loop. Only that loop uses it.
func (p *Proxy) on(l backend.Loop) *loop {
	p.setUp.Do(func() { p.loops = make([]loop, l.Count()) })
	own := &p.loops[l.Index()]
	if own.Loop == nil {
		*own = loop{Loop: l, dialer: l.(backend.Dialer), pickers: make(map[*upstream.Set]*upstream.Picker)}
	}
	return own
}

func (l *loop) picker(s *upstream.Set) *upstream.Picker {
	k := l.pickers[s]
	if k == nil {
		for other := range l.pickers { // others may have taken the place of these
			if other.Closed() {
				delete(l.pickers, other)
			}
		}
		k = s.Picker(l.Index(), l.Count())
		l.pickers[s] = k
	}
	return k
}

// Open implements backend.Protocol, for a connection of a client.
func (p *Proxy) Open(c backend.Conn) backend.Stream {
	l := p.on(c.Loop())
	s := &session{p: p, l: l, client: c, since: l.Now()}
	s.about.Local, s.about.Remote = c.Addrs()
	if n := p.sessions.Add(1); p.config.Sessions > 0 && n > int64(p.config.Sessions) {
		s.refuse(ErrSessions)
		return (*front)(s)
	}
	if p.config.Sniff == SniffNothing {
		s.route()
	} else {
		s.sniffer = &sniffer{what: p.config.Sniff, max: p.config.SniffBytes}
		c.SetDeadline(p.config.SniffTime)
	}
	return (*front)(s)
}

// count counts a connection that is refused.
func (p *Proxy) count(s *session, err error) {
	p.tally.Add(logging.Event{Level: slog.LevelWarn, Message: "connections not passed on", Cause: err.Error()}, func() []slog.Attr {
		return []slog.Attr{slog.String("client", s.about.Remote.String()), slog.String("name", s.about.Name)}
	})
}

// since is the time from a value of Loop.Now.
func (l *loop) since(start int64) time.Duration { return time.Duration(l.Now() - start) }
