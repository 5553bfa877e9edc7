package worker

import (
	"strconv"
	"time"

	"moonbridge/handler/shm"
)

// unsent says that output waits for the socket.
func (c *conn) unsent() bool { return len(c.own) > 0 || c.running && c.out.OutHead.Load() > c.sent }

// send writes what the socket takes of the output, without blocking.
func (c *conn) send() (moved bool) {
	for c.unsent() && !c.broken {
		var n int
		if len(c.own) > 0 {
			n = c.write(c.own)
			c.own = c.own[n:]
		} else {
			head, start := c.out.OutHead.Load(), uint64(c.out.OutStart.Load())
			part, _ := shm.Ring(c.outWin, start+c.sent, head-c.sent)
			n = c.write(part)
			c.sent += uint64(n)
			c.in.OutTail.Store(c.sent)
		}
		if n == 0 {
			break
		}
		moved = true
	}
	if stuck := c.unsent(); stuck != c.stuck {
		c.stuck = stuck
		c.movedAt = time.Now()
	}
	return moved
}

// drain waits until all output is with the kernel. false: the peer does not take it.
func (c *conn) drain() bool {
	c.movedAt = time.Now()
	for {
		c.send()
		if c.broken {
			return false
		}
		if !c.unsent() {
			return true
		}
		deadline := earlier(c.respondAt, c.stallAt())
		if !c.wait(pollOut, deadline) && passed(deadline) && !c.send() {
			return false
		}
	}
}

// end ends an exchange: result is what the worker stores in the cell for the server. It returns false if that was the last
// exchange of the connection.
func (c *conn) end(result uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookAtSocket()
	c.retired = c.retired || result&shm.ResultRetire != 0
	keep := c.persistent && !c.body.Missing()
	switch {
	case c.broken || result&shm.ResultReset != 0:
		c.running = false
		c.how = connReset
		return false
	case c.out.OutHead.Load() == 0:
		c.running = false
		return c.answer(int(result>>shm.ResultStatusShift), keep && !c.ending())
	}
	sent := c.drain()
	c.running = false
	if sent && keep && result&shm.ResultClose == 0 {
		return true
	}
	if sent {
		c.how = connLinger
	}
	return false
}

// refuse answers a request that no handler gets to see, and ends the connection: what follows it cannot be told apart from
// it. It returns false.
func (c *conn) refuse(status int) bool { return c.answer(status, false) }

// answer sends a response of our own. It returns keep, or false if it could not be sent.
func (c *conn) answer(status int, keep bool) bool {
	c.own = appendPage(c.own, status, !keep, c.isHead)
	sent := c.drain()
	if sent && !keep {
		c.how = connLinger
	}
	return sent && keep
}

const continueText = "HTTP/1.1 100 Continue\r\n\r\n"

var continueBytes = []byte(continueText)

// pageTexts are the statuses that are answered without a word of the handler's.
var pageTexts = map[int]string{
	400: "Bad Request",
	408: "Request Timeout",
	413: "Content Too Large",
	414: "URI Too Long",
	415: "Unsupported Media Type",
	417: "Expectation Failed",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
}

// appendPage appends the response that handler.AppendError makes, which a test compares. (With package handler the
// initialisation of net/http would come into every worker, for these few lines.)
func appendPage(dst []byte, status int, closing, noBody bool) []byte {
	if status < 400 || status > 599 {
		status = 502
	}
	text := pageTexts[status]
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, " "+text+"\r\nDate: "...)
	if text == "" {
		text = "Error"
	}
	dst = time.Now().UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
	dst = append(dst, "\r\nContent-Type: text/plain\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(text)+1), 10)
	dst = append(dst, "\r\n"...)
	if closing {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	if !noBody {
		dst = append(dst, text+"\n"...)
	}
	return dst
}
