package tcpproxy

import (
	"errors"
	"os"

	"moonbridge/handler/backend"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/upstream"
)

// session is a connection of a client, and what became of it. It belongs to its loop.
type session struct {
	p       *Proxy
	l       *loop
	about   Client
	since   int64
	client  backend.Conn // nil: it is closed
	target  backend.Conn // nil: there is none yet, or it is closed
	sniffer *sniffer     // nil: it is over, or there is none

	set     *upstream.Set
	server  *upstream.Server   // that has the session; nil: none
	trial   bool               // the session is its trial
	tried   []*upstream.Server // that could not be connected to
	cancel  func()             // ends the attempt to connect; nil: there is none
	waiting *place             // in the queue of the set; nil: none

	err  error // why the session ends
	over bool
}

// front is a session as the Stream of the client's connection.
type front session

// Data implements backend.Stream: first bytes have come. Later ones go to the target.
func (f *front) Data(c backend.Conn) {
	s := (*session)(f)
	if s.sniffer == nil {
		return
	}
	name, known := s.sniffer.look(c.Unread())
	switch {
	case known:
		s.about.Name, s.about.First = name, c.Unread()
		s.sniffer = nil
		c.SetDeadline(0)
		s.route()
		s.about.First = nil
	case c.Ended():
		s.abandon() // it has not even said what it wants
	}
}

// Room implements backend.Stream.
func (f *front) Room(backend.Conn) {}

// Drain implements backend.Drainer: a client that has not said what it wants may try elsewhere. Sessions go on.
func (f *front) Drain(backend.Conn) {
	if s := (*session)(f); s.sniffer != nil {
		s.abandon()
	}
}

// Closed implements backend.Stream.
func (f *front) Closed(c backend.Conn, err error) {
	s := (*session)(f)
	s.client = nil
	if s.sniffer != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrSniffTime
		s.p.count(s, err)
	}
	s.note(err)
	s.stopConnecting()
	s.oneEnded(s.target, c, err)
}

// abandon ends a session that has no service yet.
func (s *session) abandon() {
	s.sniffer = nil
	s.client.Close()
}

// route chooses the service and connects to one of its targets.
func (s *session) route() {
	s.client.Pause()
	var err error
	if s.set, err = s.choose(); err != nil {
		s.refuse(err)
		return
	}
	s.pick()
}

// refuse resets the client, which has got nothing.
func (s *session) refuse(err error) {
	s.p.count(s, err)
	s.note(err)
	s.sniffer = nil
	s.client.Reset()
}

// note keeps the first reason for the end.
func (s *session) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

// pick chooses a target and connects to it.
func (s *session) pick() {
	v, err := s.l.picker(s.set).Pick(s.l.Now(), s.key(), s.tried)
	switch {
	case errors.Is(err, upstream.ErrBusy):
		s.wait()
	case err != nil:
		s.refuse(ErrNoTarget)
	default:
		s.connect(v)
	}
}

// key is what upstream.Hash goes by: the address of the client.
func (s *session) key() uint64 {
	a := s.about.Remote.Addr().As16()
	return upstream.HashString(a[:])
}

func (s *session) connect(v *upstream.Server) {
	s.server, s.trial = v, s.l.picker(s.set).Trial()
	o := backend.DialOptions{Timeout: s.set.Options().Connect, Bounds: s.p.config.Bounds, TLS: v.TLS()}
	if version := s.p.config.ProxyOut; version != 0 {
		o.First = proxyproto.Append(nil, version, s.about.Local, s.about.Remote)
	}
	s.cancel = s.l.dialer.Dial(v.Address(), o, (*back)(s), s.connectFailed)
}

// connectFailed tries another target.
func (s *session) connectFailed(err error) {
	s.cancel = nil
	v := s.server
	if upstream.IsLocal(err) {
		s.release(upstream.Unknown)
	} else {
		s.release(upstream.Failed)
	}
	if s.tried = append(s.tried, v); len(s.tried) >= s.p.config.Tries || !s.l.picker(s.set).Another(s.l.Now(), s.tried, nil) {
		s.refuse(err)
		return
	}
	s.pick()
}

// release gives the session back that the target had.
func (s *session) release(how upstream.Outcome) {
	if v := s.server; v != nil {
		if how == upstream.Unknown && !s.trial {
			how = upstream.NoTrial
		}
		s.server = nil
		v.End(s.l.Now(), how)
	}
}

// stopConnecting gives up the attempt to connect, or the place in the queue.
func (s *session) stopConnecting() {
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
		s.release(upstream.Unknown)
	}
	s.leaveQueue()
}

// back is a session as the Protocol and the Stream of the connection to the target.
type back session

// Open implements backend.Protocol: the target has accepted the connection.
func (b *back) Open(c backend.Conn) backend.Stream {
	s := (*session)(b)
	s.target, s.cancel = c, nil
	s.server.Connected(s.l.Index())
	s.server.Works(s.l.Now())
	s.tried = nil
	s.client.Splice(c)
	c.Splice(s.client)
	s.client.Resume()
	return b
}

// Data implements backend.Stream. All bytes go to the client.
func (b *back) Data(backend.Conn) {}

// Room implements backend.Stream.
func (b *back) Room(backend.Conn) {}

// Closed implements backend.Stream.
func (b *back) Closed(c backend.Conn, err error) {
	s := (*session)(b)
	s.target = nil
	s.server.Disconnected(s.l.Index())
	s.note(err)
	s.oneEnded(s.client, c, err)
}

// oneEnded: connection c is over. The other one goes on sending what it has got, if c had finished sending: then only the direction
// towards c is broken. Otherwise something is missing, so it must not look complete.
func (s *session) oneEnded(other, c backend.Conn, err error) {
	switch {
	case other == nil:
		s.end()
	case err == nil:
		// Both directions are complete, and the other one ends by itself when it has sent the rest. Or it was reset by us.
	case c.Ended():
		other.Write(c.Unread())
		other.Close()
	default:
		other.Reset()
	}
}

// end: both connections are over.
func (s *session) end() {
	if s.over {
		return
	}
	s.over = true
	e := Ended{Client: &s.about, Took: s.l.since(s.since), Err: s.err}
	if s.server != nil {
		e.Target = s.server.Addr()
	}
	s.release(upstream.Lasted)
	s.p.sessions.Add(-1)
	s.tellEnded(&e)
}
