package proxy

import (
	"cmp"
	"weak"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// check is a health check of a server: a request of the proxy's own, on a new connection.
type check struct {
	service *service
	server  *upstream.Server
	link    *link
	cancel  func()
	timer   backend.Timer
	done    bool
	http    httpparse.Response
}

// startChecks begins the health checks of a service. One of the loops that use it makes them: the results are for all.
func (l *loop) startChecks(v *service) {
	if v.o.Active != nil {
		l.checkAll(v)
	}
}

// checkAll checks all servers, unless another loop does, now and then again, until the Set is closed. That keeps no proxy that nothing else
// uses any more: a program may replace it by another one of the same Set, which goes on.
func (l *loop) checkAll(v *service) {
	if v.set.Closed() {
		return
	}
	self := weak.Make(l)
	if v.set.ClaimChecks(self, l.Now()) {
		for _, s := range v.set.Servers() {
			l.startCheck(v, s)
		}
	}
	l.After(v.o.Active.Every, func() {
		if l := self.Value(); l != nil {
			l.checkAll(v)
		}
	})
}

func (l *loop) startCheck(v *service, s *upstream.Server) {
	c := &check{service: v, server: s}
	c.link = &link{l: l, pool: v.pool(s), deadline: never, state: linkCheck, check: c}
	c.cancel = l.dial(c.link, c.connectFailed)
	c.timer = l.After(v.o.Active.Timeout, c.timedOut)
}

// connectFailed: there is no connection. If this process had no room for one, that says nothing about the server.
func (c *check) connectFailed(err error) {
	if !upstream.IsLocal(err) {
		c.over(false)
		return
	}
	c.done = true
	c.timer.Stop()
}

// send sends the request, when there is a connection.
func (c *check) send() {
	a := c.service.o.Active
	text := append([]byte("GET "), a.Path...)
	text = httpwrite.AppendField(append(text, " HTTP/1.1\r\n"...), "Host", cmp.Or(a.Host, c.server.Host()))
	c.link.conn.Write(append(text, "User-Agent: moonbridge health check\r\nConnection: close\r\n\r\n"...))
}

// received: there is something of the response. Its head is enough.
func (c *check) received() {
	for {
		conn := c.link.conn
		n, err := c.link.reads.parser.Parse(&c.http, conn.Unread(), httpparse.MethodOther, &c.link.l.limits)
		switch {
		case err != nil || n == 0 && conn.Ended():
			c.over(false)
		case n > 0 && c.http.Interim():
			conn.Discard(n)
			continue
		case n > 0:
			c.over(c.service.o.Active.Expect(c.http.Status))
		}
		return
	}
}

func (c *check) timedOut() {
	if c.done {
		return
	}
	if c.link.conn == nil {
		c.cancel()
	}
	c.over(false)
}

func (c *check) over(ok bool) {
	if c.done {
		return
	}
	c.done = true
	c.timer.Stop()
	if c.link.state != linkOver && c.link.conn != nil {
		c.link.reset()
	}
	c.server.Checked(c.link.l.Now(), ok)
}

var _ backend.Protocol = (*link)(nil)
