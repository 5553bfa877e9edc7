package engine

import (
	"bytes"
	"slices"
	"strconv"
	"syscall"
)

// read is that of a system: what a stream's peer has sent, as HTTP/1.1.
func (m *h2Loop) read(fd int, p []byte) (n int, errno syscall.Errno) {
	st := m.stream(fd)
	switch {
	case st == nil:
		return 0, syscall.EAGAIN
	case st.raw != nil:
		return st.readTunnel(p)
	case st.answered && st.c != nil && st.c.state == stateIdle:
		st.s.again() // finishStreams
		return 0, syscall.EAGAIN
	case st.answered:
		return 0, 0 // the rest of the request is not wanted
	}
	for n < len(p) {
		k := st.take(p[n:])
		if k == 0 {
			break
		}
		n += k
	}
	if n == 0 && !st.cut {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

// take returns what comes next of the request, as much as there is of one kind: the head, the body, or what frames chunks of the body.
func (st *h2Stream) take(p []byte) (n int) {
	switch {
	case len(st.lead) > 0:
		n = copy(p, st.lead)
		st.lead = st.lead[n:]
	case st.headLeft > 0:
		n = st.takeKept(p[:min(len(p), st.headLeft)])
		st.headLeft -= n
	case st.connect: // what follows belongs to the tunnel, and not to a second request
	case !st.chunked:
		n = st.takeKept(p)
		st.took(int64(n))
	case st.chunkLeft > 0:
		n = st.takeKept(p[:min(len(p), st.chunkLeft)])
		st.took(int64(n))
		if st.chunkLeft -= n; st.chunkLeft == 0 {
			st.lead = h2LineEnd
		}
	case st.beginChunk():
		n = copy(p, st.lead)
		st.lead = st.lead[n:]
	}
	return n
}

// takeKept takes bytes as they have come.
func (st *h2Stream) takeKept(p []byte) (n int) {
	if st.in.Len() > 0 {
		n = copy(p, st.in.Unsent())
		st.in.Discard(st.s.l.pool, n)
	}
	k := copy(p[n:], st.view)
	st.view = st.view[k:]
	return n + k
}

// beginChunk makes one chunk of all that is there, so that a body in many small frames takes no more room than another. It
// returns false if there is nothing.
func (st *h2Stream) beginChunk() bool {
	n := st.in.Len() + len(st.view)
	switch {
	case n > 0:
		st.chunkLeft = n
		st.lead = append(strconv.AppendInt(st.leadRoom[:0], int64(n), 16), h2LineEnd...)
	case st.inEnded && !st.chunksOver:
		st.chunksOver = true
		st.lead = append(append(st.leadRoom[:0], h2LastChunk...), st.section...)
	default:
		return false
	}
	return true
}

// took: n bytes of the body were taken. The peer may send as many more.
func (st *h2Stream) took(n int64) {
	if n == 0 {
		return
	}
	st.owed -= n
	st.s.returnCredit(n)
	st.returnCredit(n)
}

// returnCredit: n bytes of the stream's window are not needed any more.
func (st *h2Stream) returnCredit(n int64) {
	st.credit += n
	if st.credit >= h2StreamWindow/2 && !st.inEnded && !st.gone {
		st.s.putWindow(st.id, uint32(st.credit))
		st.recvWindow += st.credit
		st.credit = 0
	}
}

// returnCredit: n bytes of bodies are not kept any more.
func (s *h2Conn) returnCredit(n int64) {
	back := min(n, s.narrow)
	s.narrow -= back
	s.credit += n - back
	// What other streams leave unread can be more than half of the window. Then what is left of it is given back in smaller parts.
	if s.credit > 0 && (s.credit >= h2ConnWindow/2 || s.credit >= s.recvWindow) && !s.failed {
		s.putWindow(0, uint32(s.credit))
		s.credit = 0
	}
}

// usedUp reports whether the window of the connection is used up, or nearly so: others could not send a whole frame.
func (s *h2Conn) usedUp() bool { return s.recvWindow < h2FrameBytesMax }

// makeRoom makes the window of the connection larger if what streams leave unread has used it up while another one waits for more: its handler
// may be the one that theirs wait for.
func (s *h2Conn) makeRoom() {
	for s.usedUp() && s.l.widened < h2WidenedMax && slices.ContainsFunc(s.streams, (*h2Stream).starves) {
		var most *h2Stream
		for _, st := range s.streams {
			if !st.wide && st.owed > 0 && (most == nil || st.owed > most.owed) {
				most = st
			}
		}
		if most == nil {
			return
		}
		s.widenFor(most)
	}
}

// widenFor makes the window of the connection larger by what a stream may leave unread.
func (s *h2Conn) widenFor(st *h2Stream) {
	s.l.widened++
	st.wide = true
	have := min(s.narrow, h2StreamWindow)
	s.narrow -= have
	if more := h2StreamWindow - have; more > 0 {
		s.putWindow(0, uint32(more))
	}
}

// unwiden undoes widenFor.
func (s *h2Conn) unwiden(st *h2Stream) {
	if st.wide {
		st.wide = false
		s.l.widened--
		s.narrow += h2StreamWindow
	}
}

// starves reports whether who serves the stream would take more of its body, and there is none.
func (st *h2Stream) starves() bool {
	switch {
	case st.inEnded || st.gone || st.owed > 0:
	case st.c != nil:
		return st.c.wantsBody()
	case st.raw != nil:
		return st.raw.listens()
	}
	return false
}

// dataFrame takes a part of a request body (RFC 9113 §6.1).
func (s *h2Conn) dataFrame(f h2Frame, p []byte) {
	if f.stream == 0 || s.idleStream(f.stream) {
		s.fail(h2ProtocolError, causeH2Stream)
		return
	}
	data, ok := f.unpad(p)
	if !ok {
		s.fail(h2ProtocolError, causeH2FrameSize)
		return
	}
	if s.recvWindow -= int64(len(p)); s.recvWindow < 0 {
		s.fail(h2FlowControlError, causeH2Window)
		return
	}
	if len(data) == 0 && !f.has(h2EndStream) && !s.spend(h2CostFrame) {
		return
	}
	st := s.stream(f.stream)
	if st == nil || st.inEnded {
		s.returnCredit(int64(len(p)))
		if st != nil || f.stream <= s.lastID && !s.wasReset(f.stream) {
			s.mistakeOf(f.stream, h2StreamClosed)
		}
		return
	}
	s.returnCredit(int64(len(p) - len(data)))
	st.receive(data, int64(len(p)), f.has(h2EndStream))
}

// receive takes a part of the body. size is what it counts for the window.
func (st *h2Stream) receive(data []byte, size int64, end bool) {
	s := st.s
	st.recvWindow -= size
	st.left -= int64(len(data))
	if st.recvWindow < 0 || !st.chunked && !st.connect && (st.left < 0 || end && st.left > 0) {
		s.returnCredit(int64(len(data)))
		if st.recvWindow < 0 {
			st.mistake(h2FlowControlError)
		} else {
			st.mistake(h2ProtocolError)
		}
		return
	}
	st.owed += int64(len(data))
	st.inEnded = end
	st.returnCredit(size - int64(len(data)))
	st.deliver(data)
}

var h2LineEnd, h2LastChunk = []byte("\r\n"), []byte("0\r\n")

// trailerDone ends the request with a trailer section. In HTTP/1.1 a body of known length has none, so then it is left out.
func (st *h2Stream) trailerDone(b *h2Block) {
	switch {
	case st.inEnded:
		st.s.mistakeOf(st.id, h2StreamClosed)
	case b.malformed, !b.end, !st.chunked && st.left > 0, st.connect: // RFC 9113 §8.5
		st.mistake(h2ProtocolError)
	case st.chunked && !b.tooLarge:
		st.inEnded, st.section = true, bytes.Clone(b.text)
		st.deliver(nil)
	case st.chunked:
		st.receive(nil, 0, true)
	default:
		st.inEnded = true
	}
}
