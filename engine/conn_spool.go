package engine

import (
	"errors"
	"fmt"

	"moonbridge/bufio"
	"moonbridge/engine/spool"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// spooled is what a connection has in the spool: a request while its body arrives (this file), or a response while the peer
// takes it (conn_spool_output.go). There is never both: a body is read only when the responses before it are out.
type spooled struct {
	head    []byte       // the bytes of the request's head
	memory  bufio.Output // its body, while that is small
	body    *spool.File  // its body, if it is large; nil: none
	trailer []byte       // the trailer section of its body
	output  *spool.File  // the response; nil: none
	sent    int64        // bytes of the response that have been read from its file
	reading *fileRead    // nil: no goroutine reads the file of the response
	loaded  bool         // a goroutine has just read what comes next
}

// release frees everything.
func (s *spooled) release(p *bufio.Pool) {
	s.memory.Release(p)
	if s.body != nil {
		s.body.Close()
	}
	switch {
	case s.reading != nil:
		s.reading.leave()
	case s.output != nil:
		s.output.Close()
	}
}

// dropSpool discards everything that the connection has in the spool.
func (c *conn) dropSpool() {
	if s := c.spool; s != nil {
		c.spool = nil
		s.release(c.l.pool)
	}
}

// beginSpooling: the head h takes the first n bytes of the input, and the body does not wait there. It arrives before a
// handler is called.
func (c *conn) beginSpooling(nowMS uint64, h *httpparse.Head, n int) {
	c.spool = &spooled{head: append([]byte(nil), c.input.Unread()[:n]...)}
	c.input.Discard(n)
	c.state = stateSpooling
	if err := c.spoolFits(h); err != nil {
		c.notSpooled(nowMS, err)
		return
	}
	if c.body.Continue() {
		c.send(continueBytes)
	}
	c.updateDeadline(nowMS)
}

// spoolFits checks whether an announced body would fit now. It reserves nothing, since announcements alone could then fill the
// spool.
func (c *conn) spoolFits(h *httpparse.Head) error {
	if h.ContentLength <= c.service.limits.body.Await {
		return nil
	}
	return c.l.e.spool.Room(h.ContentLength)
}

// spoolBody moves bytes of the body to the spool as they arrive, and dispatches the request when it is complete.
func (c *conn) spoolBody(nowMS uint64) {
	for reads := 0; c.state == stateSpooling; {
		if c.input.Len() > 0 {
			c.spoolInput(nowMS)
			continue
		}
		if !c.readMore(nowMS, &reads) {
			return
		}
	}
}

// spoolInput moves body bytes from the input to the spool.
func (c *conn) spoolInput(nowMS uint64) {
	part, consumed, err := c.bodyPart()
	if err != nil {
		status := statusBadRequest
		if httpparse.StatusOf(err) == statusContentTooLarge {
			status = statusContentTooLarge
		}
		c.refuse(nowMS, status, err.Error())
		return
	}
	if err := c.spoolPart(part); err != nil {
		c.notSpooled(nowMS, err)
		return
	}
	c.input.Discard(consumed)
	if !c.body.Missing() {
		c.dispatchSpooled(nowMS)
	}
}

// bodyPart takes a part of the body from the input: unchanged, or decoded into a buffer of the loop.
func (c *conn) bodyPart() (part []byte, consumed int, err error) {
	unread := c.input.Unread()
	if part = c.body.Take(unread); len(part) > 0 {
		return part, len(part), nil
	}
	room, before := c.l.spoolRoom(), c.body.TrailerLen()
	n, consumed, err := c.body.Move(room, nil, unread)
	if added := c.body.TrailerLen() - before; added > 0 {
		c.spool.keepTrailer(before == 0, unread[consumed-added:consumed])
	}
	return room[:n], consumed, err
}

// keepTrailer keeps the next bytes of the trailer section. Most sections are empty: only the empty line that ends them.
func (s *spooled) keepTrailer(first bool, p []byte) {
	if first && p[0] != '\r' || len(s.trailer) > 0 {
		s.trailer = append(s.trailer, p...)
	}
}

// spoolPart adds a part to the body: in memory while the body is small, then in a file.
func (c *conn) spoolPart(part []byte) (err error) {
	s := c.spool
	if s.body == nil {
		if int64(s.memory.Len()+len(part)) <= c.service.limits.body.Await {
			s.memory.Append(c.l.pool, part)
			return nil
		}
		if s.body, err = c.l.e.createFile(); err != nil {
			return err
		}
		if _, err = s.body.Append(s.memory.Unsent()); err != nil {
			return err
		}
		s.memory.Release(c.l.pool)
	}
	_, err = s.body.Append(part)
	return err
}

// notSpooled refuses a request whose body does not fit into the spool.
func (c *conn) notSpooled(nowMS uint64, err error) {
	c.l.e.spool.refused.Add(1)
	if errors.Is(err, spool.ErrTooLarge) {
		c.refuse(nowMS, statusInsufficientStorage, err.Error())
		return
	}
	c.countRefused(statusUnavailable, err.Error())
	c.input.Discard(c.input.Len())
	c.answer(nowMS, statusUnavailable, retryAfterSeconds, false)
}

// dispatchSpooled gives the exchange to the backend, with its whole body.
func (c *conn) dispatchSpooled(nowMS uint64) {
	c.current()
	h := &c.l.head
	if _, err := c.input.parser.Parse(h, c.spool.head, &c.service.limits.head); err != nil {
		c.refuse(nowMS, httpparse.StatusOf(err), err.Error()) // the service has changed, and with it the limits
		return
	}
	c.input.parser.Reset()
	if c.service.identifier != nil {
		c.identify(h)
		defer c.forgetClient(h)
	}
	if c.l.e.observed {
		c.recordHead(h)
	}
	c.exchange.persistent = h.Persistent && !c.ending()
	h.Persistent, h.ExpectContinue = c.exchange.persistent, false
	inFile := c.spool.body != nil
	running, err := c.startSpooled(h, c.spool)
	if err != nil {
		c.startFailed(nowMS, err, 0)
		return
	}
	s := c.spool
	c.spool = nil
	c.started(nowMS, running)
	if !inFile && len(s.trailer) > 0 {
		endWithTrailer(running, s.trailer)
	}
	s.release(c.l.pool)
}

// endWithTrailer ends a body that was not complete at Start because its trailer section follows.
func endWithTrailer(running backend.Running, trailer []byte) {
	if t, wanted := running.(backend.Trailered); wanted {
		t.BodyTrailer(trailer)
	}
	running.BodyEnd()
}

// errNoFiles: the service has changed, and its backend takes no files.
var errNoFiles = fmt.Errorf("%w: its successor takes no request bodies in files", backend.ErrStopped)

func (c *conn) startSpooled(h *httpparse.Head, s *spooled) (backend.Running, error) {
	if s.body == nil {
		return c.service.backend.Start(c, h, c.service.index, s.memory.Unsent(), len(s.trailer) > 0)
	}
	taker, ok := c.service.backend.(backend.FileBackend)
	if !ok {
		return nil, errNoFiles
	}
	running, err := taker.StartFile(c, h, c.service.index, s.body, s.trailer)
	if err == nil {
		s.body = nil // now it belongs to the backend
	}
	return running, err
}
