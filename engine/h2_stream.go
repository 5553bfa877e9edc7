package engine

import (
	"errors"
	"slices"

	"moonbridge/bufio"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// h2Stream is a stream: a request and its response. It is what the socket is for the conn that serves it.
type h2Stream struct {
	s   *h2Conn
	c   *conn    // nil: it has not begun, has left HTTP, or is over
	raw *rawConn // the tunnel that it has become, in place of c
	id  uint32

	openedMS uint64
	begunMS  uint64 // when a conn began to serve it; 0: none has

	order    h2Order
	turn     uint64 // of the connection's turns, when it sent last
	waiting  bool   // in s.waiters
	gone     bool   // it is over for the peer: nothing more is sent
	closed   bool   // in no list any more
	cut      bool   // the peer's side has ended in the middle of it
	torn     bool   // the response breaks off
	extended bool   // an extended CONNECT (RFC 8441)
	tooBig   bool   // its head is too large
	unknown  bool   // it asks for a protocol that is not known here
	connect  bool   // a CONNECT: what follows its head belongs to a tunnel
	wide     bool   // it has widened the connection's window

	// From the peer: a head of HTTP/1.1, and a body.
	view       []byte       // what has just come, in the frame
	in         bufio.Output // what has come and was not taken
	headLeft   int          // bytes of the head among these
	inEnded    bool
	chunked    bool
	chunksOver bool     // the last chunk has begun
	chunkLeft  int      // bytes of the present chunk
	lead       []byte   // of a chunk, taken before anything else
	leadRoom   [16]byte // for lead
	section    []byte   // that follows the last chunk
	left       int64    // of a body of known length
	recvWindow int64    // what the peer may send
	owed       int64    // bytes of the body that are kept, and for which the peer has no credit
	credit     int64    // bytes that were taken, of which the peer does not know yet

	// To the peer.
	answered   bool // the response is complete
	phase      h2Phase
	body       int64             // h2Length: bytes that are missing
	chunks     httpparse.Chunked // h2Chunked
	trailer    []byte
	part       []byte // of a response head that is incomplete
	parser     httpparse.ResponseParser
	to         httpparse.Method
	sendWindow int64
	accept     *[httpwrite.WebSocketAcceptLen]byte // what has to be in a 101 response; nil: there must be none
	sentAt     int64                               // where its last data ends in the output of the connection
}

// h2Phase is what is sent next of a response.
type h2Phase uint8

const (
	h2Head    h2Phase = iota // a head
	h2Length                 // a body of known length
	h2Chunks                 // a chunked body
	h2ToClose                // a body up to the end of the conn
	h2Over                   // nothing
)

var errH2 = errors.New("engine: not possible with HTTP/2")

// beginStream opens the stream of a request.
func (s *h2Conn) beginStream(b *h2Block) {
	st := s.l.newStream()
	*st = h2Stream{
		s: s, id: b.stream, openedMS: s.l.parent.sys.nowMS(), order: s.takeOrder(b.stream, b.order), inEnded: b.end, chunked: b.chunked(), left: max(0, b.length), tooBig: b.tooLarge,
		to: httpparse.MethodOf([]byte(b.method)), recvWindow: h2StreamWindow, sendWindow: s.initial,
		headLeft: len(b.text), section: h2LineEnd, connect: b.connects,
	}
	if b.connects {
		st.connects(b)
	}
	others := s.waitingToBegin()
	// A body comes before a handler is called, in most cases. If it waited here, others could not be received.
	switch {
	case !b.end && !st.connect || st.tooBig || others == 0 && s.mayBegin() > 0:
		s.addStream(st)
		st.begin(b.text)
	case s.headsWaiting > 0 && s.headsWaiting+len(b.text) > h2HeadsMax:
		s.refuse(st.id)
	default:
		s.addStream(st)
		s.headsWaiting += len(b.text)
		st.in.Append(s.l.pool, b.text)
	}
}

func (s *h2Conn) addStream(st *h2Stream) {
	s.streams = append(s.streams, st)
	s.idleMS = 0
}

// refuse resets a stream of which nothing was done, so the peer may try again (RFC 9113 §8.7).
func (s *h2Conn) refuse(id uint32) {
	if s.spend(h2CostReset) {
		s.putReset(id, h2RefusedStream)
	}
}

// waitingToBegin is how many streams no conn serves yet.
func (s *h2Conn) waitingToBegin() int { return len(s.streams) - s.running - s.tunnels }

// overlap is how many streams may be in progress now.
func (s *h2Conn) overlap() int {
	svc := s.service.latest()
	if svc.overlapping == nil {
		return h2StreamsMax
	}
	return max(h2OverlapMin, svc.overlapping.Overlap())
}

// startStreams begins streams that have waited.
func (s *h2Conn) startStreams() {
	s.heldCheck()
	if s.waitingToBegin() == 0 {
		return
	}
	room := s.mayBegin()
	if room <= 0 {
		return
	}
	for _, st := range s.streamsOf() {
		if st.c == nil && st.raw == nil && !st.closed {
			if room == 0 {
				return
			}
			room--
			st.begin(nil)
		}
	}
}

// mayBegin is how many streams may begin now. Of those in progress, only the ones that began a short time ago count: the backend knows that
// the others take long, and its Overlap is about what is left. Otherwise a few requests that wait for an event would keep all others waiting.
func (s *h2Conn) mayBegin() int {
	most := s.overlap()
	if s.running < most {
		return most - s.running
	}
	nowMS := s.l.parent.sys.nowMS()
	for _, st := range s.streams {
		if st.c != nil && nowMS < st.begunMS+s.l.lookMS {
			most--
		}
	}
	return most
}

// begin has a conn serve the stream. text is what has just come of it.
func (st *h2Stream) begin(text []byte) {
	s := st.s
	s.running++
	st.begunMS = s.l.parent.sys.nowMS()
	if st.in.Len() > 0 {
		s.headsWaiting -= st.headLeft
	}
	st.c = s.l.takeConn(st)
	switch {
	case st.tooBig:
		st.refuse(statusHeadTooLarge, causeH2HeadTooLarge)
	case st.unknown:
		st.refuse(statusNotImplemented, causeH2Protocol)
	default:
		st.deliver(text)
	}
}

// refuse answers a request that is not given to the conn.
func (st *h2Stream) refuse(status int, cause string) {
	nowMS := st.s.l.twin.sys.nowMS()
	st.c.current()
	st.c.beginHead(nowMS)
	st.c.exchange.isHead = st.to == httpparse.MethodHead
	st.c.refuse(nowMS, status, cause)
}

// deliver lets the conn read what is there, and keeps what it does not take of p.
func (st *h2Stream) deliver(p []byte) {
	st.view = p
	what := reactor.Readable
	if st.raw != nil && st.inEnded {
		what |= reactor.PeerClosed
	}
	st.ready(what)
	if len(st.view) > 0 && !st.closed {
		st.in.Append(st.s.l.pool, st.view)
	}
	st.view = nil
}

// ready tells who serves the stream what has happened on it.
func (st *h2Stream) ready(what reactor.Readiness) {
	switch {
	case st.c != nil:
		st.c.Ready(what)
	case st.raw != nil:
		st.raw.Ready(what)
	}
}

// mistake resets the stream because of what the peer has sent for it.
func (st *h2Stream) mistake(code h2Code) {
	s := st.s
	if s.spend(h2CostMistake) {
		s.putReset(st.id, code)
		st.abandon()
	}
}

// abandon ends the stream at once. Nothing more is sent.
func (st *h2Stream) abandon() {
	st.gone = true
	if st.c != nil {
		st.c.close() // it calls connEnded
	}
	if st.raw != nil {
		st.raw.fail(errReset)
		st.raw.again()
	}
	st.over()
}

// connEnded: the conn has ended, or the tunnel, which is the end of the stream.
func (st *h2Stream) connEnded() {
	if !st.gone && st.phase == h2ToClose && !st.torn {
		st.endResponse()
	}
	switch {
	case st.gone:
	case !st.answered && st.phase != h2Over:
		st.s.putReset(st.id, h2InternalError)
	case !st.inEnded:
		st.s.putReset(st.id, h2NoError) // RFC 9113 §8.1: the rest of the request is not wanted
	}
	st.over()
}

// over takes the stream out of its connection.
func (st *h2Stream) over() {
	if st.closed {
		return
	}
	st.closed = true
	s := st.s
	if st.answered {
		s.answered--
	}
	switch {
	case st.c != nil:
		st.c = nil
		s.running--
	case st.raw != nil:
		st.raw = nil
		s.tunnels--
	default:
		s.headsWaiting -= st.headLeft
	}
	if i, ok := s.find(st.id); ok {
		s.streams = slices.Delete(s.streams, i, i+1)
	}
	st.unwait()
	st.in.Release(s.l.pool)
	s.returnCredit(st.owed)
	st.owed, st.view = 0, nil
	s.unwiden(st)
	if s.lastOf == st {
		s.lastOf = nil
	}
	if len(s.streams) == 0 {
		s.streams, s.waiters = s.only[:0], nil
		s.becomeIdle()
	}
	s.again()
}

// finishStreams ends streams whose exchanges are over.
func (s *h2Conn) finishStreams() {
	for i := 0; i < len(s.streams); {
		st := s.streams[i]
		if st.answered && st.c != nil && st.c.state == stateIdle {
			st.finish()
		} else {
			i++
		}
	}
}

// finish: the exchange is over in the ordinary way, and its conn can serve another stream.
func (st *h2Stream) finish() {
	s, c := st.s, st.c
	if !st.inEnded {
		s.putReset(st.id, h2NoError)
	}
	st.over()
	s.budget.gain(h2GainExchange)
	s.l.giveBack(c, s)
	s.l.releaseStream(st)
}

// peerEnded: the peer has ended its side of the connection.
func (st *h2Stream) peerEnded() {
	st.cut = !st.inEnded
	st.ready(reactor.PeerClosed)
}

// localOf returns what a stream's conn keeps of the local address, as the connection has it.
func (s *h2Conn) localOf(fd int) uint8 {
	raw := s.raw
	local, _ := raw.Addrs()
	known := raw.socket.local
	if a := raw.addrs; known == localNamed && a.named != nil {
		a.named[fd] = local
	}
	return known
}
