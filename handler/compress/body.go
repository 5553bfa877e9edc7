package compress

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// body is the body of a response that is being encoded.
type body struct {
	framing  httpparse.ResponseBody // as it comes from the inner backend
	trailer  []byte                 // its trailer section
	in       []byte                 // data that the job has not got
	job      *job
	whole    bool   // the job gets all of the body at once
	plain    []byte // with whole: the head of the response without compression
	headOut  bool   // the head was sent
	chunked  bool   // what is sent is chunked
	behind   bool   // the encoder holds data that was not flushed
	finished bool   // all of it was sent, or waits in unsent
}

// ends reports whether the body may end here.
func (b *body) ends() bool { return b.whole || b.framing.End() == nil }

// release gives back everything.
func (b *body) release(l *loop) {
	if j := b.job; j != nil {
		if j.e = nil; !j.running {
			j.release()
		}
	}
	l.giveBuffer(b.in)
	b.in, b.job, b.plain = nil, nil, nil
}

// begin starts the body of the response with the head h. a and b are what follows the head. It returns how much of them it has
// taken. false: it has taken nothing, and the body is better sent as it is.
func (e *exchange) begin(h *httpparse.ResponseHead, a, b []byte, last bool) (n int, ok bool) {
	y := &e.body
	y.framing.Begin(h, false)
	n, ok = e.feed(a, b)
	all := n == len(a)+len(b)
	y.whole = len(y.trailer) <= len("\r\n") && (!y.framing.Missing() || y.framing.ToClose() && last && all)
	if !ok || !e.claim() {
		l := e.l
		l.giveBuffer(y.in)
		e.body = body{}
		return 0, false
	}
	y.chunked = !y.whole && e.asked.minor > 0
	e.closes = !y.whole && !y.chunked
	if y.whole {
		y.plain = appendPlain(nil, h)
	}
	e.head = appendEncoded(nil, h, e.asked.coding, e.closes)
	e.state, e.last = stateBody, last && all
	e.encodeMore()
	if all {
		return n, true
	}
	a, b = from(a, b, n)
	return n + e.takeBody(a, b, last), true
}

// claim gets what the body needs to be encoded. false: there is too much to do already, or the body is too small.
func (e *exchange) claim() bool {
	y, s := &e.body, e.l.b.shared
	j := &job{loop: e.l, kind: kind{e.asked.coding, e.l.b.rules.level}, e: e}
	if y.whole {
		if len(y.in) == 0 || int64(len(y.in)) < e.l.b.rules.minBytes && !e.asked.must || s.busy() {
			return false
		}
	} else if j.enc = s.takeStream(j.kind); j.enc == nil {
		return false
	}
	y.job = j
	return true
}

// takeBody is Output in stateBody.
func (e *exchange) takeBody(a, b []byte, last bool) (taken int) {
	for e.state == stateBody {
		n, ok := e.feed(a, b)
		if !ok {
			e.fail()
			break
		}
		taken += n
		a, b = from(a, b, n)
		e.last = last && len(a)+len(b) == 0
		e.encodeMore()
		if n == 0 || len(a)+len(b) == 0 {
			return taken
		}
	}
	return taken + len(a) + len(b)
}

// feed takes data of the body out of a and b, as much as there is room for, and returns how many bytes it has taken of them.
// false: they are no valid body.
func (e *exchange) feed(a, b []byte) (n int, ok bool) {
	n, ok = e.feedPart(a)
	if !ok || n < len(a) {
		return n, ok
	}
	m, ok := e.feedPart(b)
	return n + m, ok
}

func (e *exchange) feedPart(p []byte) (n int, ok bool) {
	y := &e.body
	if y.in == nil && len(p) > 0 {
		y.in = e.l.buffer()
	}
	for n < len(p) && y.framing.Missing() {
		room := bufferBytes - len(y.in)
		if room == 0 {
			return n, true
		}
		before := y.framing.TrailerLen()
		data, k, err := y.framing.Next(p[n:min(len(p), n+room)])
		n += k
		if err != nil {
			return n, false
		}
		if added := y.framing.TrailerLen() - before; added > 0 {
			y.trailer = append(y.trailer, p[n-added:n]...)
		}
		y.in = append(y.in, data...)
	}
	return n, n == len(p) // nothing may follow the body
}

// encodeMore encodes what has come, as far as the connection takes it.
func (e *exchange) encodeMore() {
	y := &e.body
	for e.state == stateBody && !y.finished && !y.job.running && len(e.unsent) == 0 {
		finish := y.whole || !y.framing.Missing() || y.framing.ToClose() && e.inner != innerRuns
		if len(y.in) > 0 || finish || y.behind {
			e.encode(finish)
			continue
		}
		if !y.headOut {
			e.sendPiece(nil)
		}
		return
	}
}

// flushBytes: with as much data in one piece, more is likely to follow at once.
const flushBytes = 16 << 10

// encode encodes the data that has come: on the loop if it is little.
func (e *exchange) encode(finish bool) {
	y, j := &e.body, e.body.job
	j.in, y.in = y.in, nil
	j.flush, j.finish = len(j.in) < flushBytes, finish
	j.out = e.l.buffer()
	if y.chunked {
		j.out = append(j.out, chunkRoom...)
	}
	if e.l.mayEncode(j.kind.coding, len(j.in)) {
		j.run(e.l.b.shared)
		e.sendEncoded()
		return
	}
	j.running = true
	e.l.b.shared.start(j)
}

// encoded is called when a goroutine has run the job.
func (e *exchange) encoded() {
	if e.state != stateBody {
		return
	}
	e.sendEncoded()
	e.advance()
}

// sendEncoded sends what the job has output.
func (e *exchange) sendEncoded() {
	y, j := &e.body, e.body.job
	if j.err != nil {
		e.fail()
		return
	}
	y.behind = !j.flush && !j.finish
	y.finished = j.finish
	if y.whole {
		e.sendWhole(j)
	} else {
		e.sendPiece(j.out)
	}
	if e.state != stateBody || e.body.job != j {
		return // over
	}
	e.l.giveBuffer(j.in)
	e.l.giveBuffer(j.out)
	j.in, j.out = nil, nil
	if y.finished {
		j.release()
		y.job = nil
	}
}

// sendWhole sends a whole response, in the coding unless that is no smaller.
func (e *exchange) sendWhole(j *job) {
	head, content := e.head, j.out
	if len(j.out) >= len(j.in) && !e.asked.must {
		head, content = e.body.plain, j.in
	}
	head = append(httpwrite.AppendNumber(head, "Content-Length", int64(len(content))), "\r\n"...)
	e.body.headOut = true
	e.send(head, content, e.ending())
}

// chunkRoom is the room for the size before a chunk, at the start of what a job outputs.
const chunkRoom = "\x00\x00\x00\x00\x00\x00\x00\x00\r\n"

// sendPiece sends a piece of a stream, which may be empty, with the head before the first one.
func (e *exchange) sendPiece(out []byte) {
	y := &e.body
	if y.chunked && len(out) > 0 {
		out = y.chunk(out)
	}
	var head []byte
	if !y.headOut {
		y.headOut = true
		if head = e.head; y.chunked {
			head = append(head, "Transfer-Encoding: chunked\r\n"...)
		}
		head = append(head, "\r\n"...)
		e.head = nil
	}
	if len(head)+len(out) > 0 {
		e.send(head, out, e.ending())
	}
}

// chunk makes a chunk of what a job has output, and adds the last one if the body ends.
func (b *body) chunk(out []byte) []byte {
	size := len(out) - len(chunkRoom)
	if size == 0 {
		out = out[:0]
	} else {
		out = append(out, "\r\n"...)
		out = out[httpwrite.PutChunkSize(out[:len(chunkRoom)], size):]
	}
	if b.finished {
		out = append(out, "0\r\n"...)
		if len(b.trailer) > 0 {
			return append(out, b.trailer...)
		}
		out = append(out, "\r\n"...)
	}
	return out
}
