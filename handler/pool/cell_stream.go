package pool

import (
	"bytes"
	"time"

	"moonbridge/handler/channel/stream"
	"moonbridge/handler/shm"
)

// handOver gives the exchange to the loop's streams: what the worker has published is not a response but says what the client is to
// get. The worker goes on with the handler, for which there is no client any more.
func (c *cell) handOver() {
	a, b := c.response.unsent()
	s, err := shm.ReadSubscription(bytes.Join([][]byte{a, b}, nil))
	if err != nil {
		c.notInstead("malformed subscription")
		return
	}
	if c.body.flags&shm.InEnd == 0 && !c.body.ending {
		c.body.abort(shm.InAbort) // the connection passes on no more of it
		c.poke()
	}
	q := requestOf(&s)
	q.Queue, q.Service = c.Times()
	x := c.leave()
	c.discard()
	c.l.streamsOf().Begin(x, q)
}

// notInstead answers an exchange for which something malformed was published instead of a response.
func (c *cell) notInstead(what string) {
	if c.state != cellDone {
		c.violated(what)
		return
	}
	c.fail(502, 0, what)
	c.l.release(c)
}

// requestOf is what a worker has asked for.
func requestOf(s *shm.Subscription) *stream.Request {
	q := &stream.Request{
		Channels: s.Names, After: s.After, Key: s.Key, Fields: s.Fields,
		Poll: s.Flags&shm.SubscribePoll != 0, IsHead: s.Flags&shm.SubscribeHead != 0,
		HTTP10: s.Flags&shm.SubscribeHTTP10 != 0, Keepalive: s.Flags&shm.SubscribeKeepalive != 0,
		Retry: milliseconds(uint64(s.RetryMS)), KeepAlive: milliseconds(uint64(s.KeepaliveMS)), Timeout: milliseconds(uint64(s.TimeoutMS)),
	}
	if s.Flags&shm.SubscribeFirst != 0 {
		q.First = &s.First
	}
	if s.Flags&shm.SubscribeSilent != 0 {
		q.KeepAlive = -time.Second
	}
	return q
}

// streamsOf are the streams of the loop, which outlive the pool.
func (l *loop) streamsOf() *stream.Loop {
	if l.streams == nil {
		l.streams = stream.On(l.p.h.cfg.Channels, l.on)
	}
	return l.streams
}
