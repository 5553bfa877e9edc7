package engine

import (
	"encoding/binary"
	"slices"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/timers"

	"golang.org/x/net/http2/hpack"
)

// h2Conn is a connection that speaks HTTP/2 (RFC 9113). It is the Stream of a rawConn. Its own streams are h2Streams.
type h2Conn struct {
	// Immutable.
	l       *h2Loop
	raw     *rawConn
	service *service // of the last stream that has begun, or of the connection; see service.latest

	greeted    bool // the preface has come
	settled    bool // so have the first SETTINGS
	failed     bool // an error has ended it: nothing more is read
	leaving    bool // GOAWAY was sent with the last stream that is served
	peerLeaves bool // the peer has sent GOAWAY
	queued     bool // in l.agains
	turning    bool // within turn, or before it: nothing has to be queued
	stirred    bool // something has changed since the turn looked at it
	retable    bool // the next field section says that our table is empty
	paused     bool // too many answers wait
	peerGone   bool // the peer has ended its side
	draining   drainState

	lastID       uint32       // highest stream of the peer that is or was served
	seenID       uint32       // highest stream that the peer has begun
	streams      []*h2Stream  // by their ids
	only         [1]*h2Stream // room for them, if there is one at a time
	running      int          // of them: those that a conn serves
	answered     int          // of them: those whose responses are complete
	tunnels      int          // of them: those that have left HTTP
	headsWaiting int          // bytes of the heads of the others
	left         []*conn      // that have served streams whose handlers go on
	block        *h2Block     // the field section that is being received
	decoder      *hpack.Decoder
	out          bufio.Output // frames that are not given to raw yet
	lastData     int          // where the last DATA frame in out begins; -1: it is no DATA
	lastOf       *h2Stream    // the stream of that frame
	sentAt       int64        // where the last data of a stream ends in the output
	sendWindow   int64        // what we may send
	recvWindow   int64        // what the peer may send
	credit       int64        // bytes that were taken, of which the peer does not know yet
	narrow       int64        // bytes by which it is to become smaller again: they are credit that the peer does not get
	initial      int64        // the window of new streams, for what we send
	budget       h2Budget
	waiters      []*h2Stream // that cannot send all they have
	turns        uint64      // so far: each stream knows its last one
	turnOfHTTP   uint64      // the last one of a stream that is no tunnel
	turnOf       *h2Stream   // may send share bytes now
	share        int64
	head         []byte   // of a frame
	resets       []uint32 // streams that we have reset a short time ago
	resetsAt     uint8
	orders       []h2EarlyOrder
	deadline     deadline
	idleMS       uint64 // when it will have been idle for too long; 0: it is not idle
	heldMS       uint64 // when it is checked whether the peer takes what is held; 0: nothing is
	acked        int64  // what it had taken when that was last checked
	drainMS      uint64 // when the time of draining ends
	lookMS       uint64 // when streams that wait for handlers, or for their bodies, are looked at again
	reported     ConnState
	was          *conn // that it was before; nil: none, or nothing is reported
	value        any   // of backend.ConnKeeper

	links list.Links[h2Conn]
}

// h2Greeting is what the server sends first.
func (s *h2Conn) greet() {
	lim := &s.service.limits
	settings := [...][2]uint32{
		{h2SettingStreams, h2StreamsMax},
		{h2SettingWindow, h2StreamWindow},
		{h2SettingHeaderBytes, uint32(lim.head.HeadBytesMax())},
		{h2SettingConnect, 1},
		{h2SettingNoPriorities, 1},
	}
	p := h2Frame{length: len(settings) * h2SettingBytes, kind: h2Settings}.append(nil)
	for _, setting := range settings {
		p = binary.BigEndian.AppendUint16(p, uint16(setting[0]))
		p = binary.BigEndian.AppendUint32(p, setting[1])
	}
	s.put(p)
	s.putWindow(0, h2ConnWindow-h2WindowDefault)
}

// Data implements backend.Stream.
func (s *h2Conn) Data(backend.Conn) {
	s.turning = true
	for !s.failed && s.raw.state == rawOpen {
		if s.tooManyAnswers() && s.stillTooMany() {
			s.paused = true
			s.raw.Pause()
			break
		}
		if !s.takeFrame(s.raw.Unread()) {
			break
		}
	}
	if s.failed {
		s.raw.Discard(len(s.raw.Unread()))
	}
	if s.raw.Ended() {
		s.inputEnded()
	}
	s.turn()
}

// tooManyAnswers reports whether the peer asks for more answers than it reads.
func (s *h2Conn) tooManyAnswers() bool {
	return s.raw.Held()+s.out.Len() > h2HeldMax+h2SendAhead+h2AnswersMax
}

// stillTooMany is tooManyAnswers when those that are collected were given to the connection. Then that is full, and will say when it
// has room.
func (s *h2Conn) stillTooMany() bool {
	s.flush()
	return s.tooManyAnswers()
}

// takeFrame takes what p begins with: the preface or a frame. false: it is not complete.
func (s *h2Conn) takeFrame(p []byte) bool {
	if !s.greeted {
		return s.takePreface(p)
	}
	if len(p) < h2HeaderBytes {
		return false
	}
	f := parseH2Frame(p)
	if f.length > h2FrameBytesMax {
		s.fail(h2FrameSizeError, causeH2FrameSize)
		return true
	}
	n := h2HeaderBytes + f.length
	if len(p) < n {
		return false
	}
	s.frame(f, p[h2HeaderBytes:n])
	if s.raw.state == rawOpen {
		s.raw.Discard(n)
	}
	return true
}

func (s *h2Conn) takePreface(p []byte) bool {
	n := min(len(p), len(h2PrefaceText))
	if string(p[:n]) != h2PrefaceText[:n] {
		s.fail(h2ProtocolError, causeH2Preface)
		return true
	}
	if n < len(h2PrefaceText) {
		return false
	}
	s.greeted = true
	s.raw.Discard(n)
	return true
}

// frame acts on a frame.
func (s *h2Conn) frame(f h2Frame, p []byte) {
	switch {
	case !s.settled && (f.kind != h2Settings || f.has(h2Ack)):
		s.fail(h2ProtocolError, causeH2Preface)
		return
	case s.block != nil && (f.kind != h2Continuation || f.stream != s.block.stream):
		s.fail(h2ProtocolError, causeH2Order)
		return
	}
	switch f.kind {
	case h2Data:
		s.dataFrame(f, p)
	case h2Headers:
		s.headersFrame(f, p)
	case h2Continuation:
		s.continuationFrame(f, p)
	case h2RSTStream:
		s.resetFrame(f, p)
	case h2Settings:
		s.settingsFrame(f, p)
	case h2Ping:
		s.pingFrame(f, p)
	case h2WindowUpdate:
		s.windowFrame(f, p)
	case h2Priority:
		s.priorityFrame(f, p)
	case h2PriorityUpdate:
		s.priorityUpdateFrame(f, p)
	case h2GoAway:
		s.goAwayFrame(f, p)
	case h2PushPromise:
		s.fail(h2ProtocolError, causeH2Order)
	default:
		s.spend(h2CostFrame)
	}
}

// spend takes n from the budget of the peer, and ends the connection if nothing is left of it.
func (s *h2Conn) spend(n int32) bool {
	if s.budget.spend(s.l.parent.sys.nowMS(), n) {
		return true
	}
	s.fail(h2EnhanceYourCalm, causeH2Flood)
	return false
}

func (s *h2Conn) pingFrame(f h2Frame, p []byte) {
	switch {
	case f.stream != 0:
		s.fail(h2ProtocolError, causeH2Stream)
	case len(p) != 8:
		s.fail(h2FrameSizeError, causeH2FrameSize)
	case f.has(h2Ack):
		switch {
		case s.draining != drainAsked || string(p) != h2DrainPing:
			s.spend(h2CostFrame)
		case s.lastID != 0:
			s.leave()
			// Otherwise the connection is new. Its peer may have a request for it, which it sends elsewhere because of GOAWAY; but to Go's client the
			// end of the connection before that is a failure to connect, so the request would not be repeated. The peer has the time of the drain.
		}
	case s.budget.spendFree(h2CostFrame) || s.spend(h2CostFrame):
		s.put(append(h2Frame{length: 8, kind: h2Ping, flags: h2Ack}.append(nil), p...))
	}
}

func (s *h2Conn) goAwayFrame(f h2Frame, p []byte) {
	switch {
	case f.stream != 0:
		s.fail(h2ProtocolError, causeH2Stream)
	case len(p) < 8:
		s.fail(h2FrameSizeError, causeH2FrameSize)
	default:
		s.spend(h2CostFrame)
		s.peerLeaves = true
	}
}

// stream returns an open stream, or nil.
func (s *h2Conn) stream(id uint32) *h2Stream {
	i, ok := s.find(id)
	if !ok {
		return nil
	}
	return s.streams[i]
}

func (s *h2Conn) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(s.streams, id, func(st *h2Stream, id uint32) int { return int(int64(st.id) - int64(id)) })
}

// idleStream reports whether no frame has opened a stream yet: then few frames may name it.
func (s *h2Conn) idleStream(id uint32) bool { return id&1 == 0 || id > s.seenID }

// resetFrame: the peer gives up a stream.
func (s *h2Conn) resetFrame(f h2Frame, p []byte) {
	switch {
	case f.stream == 0 || s.idleStream(f.stream):
		s.fail(h2ProtocolError, causeH2Stream)
		return
	case len(p) != 4:
		s.fail(h2FrameSizeError, causeH2FrameSize)
		return
	}
	s.l.resetsReceived++
	if st := s.stream(f.stream); st != nil {
		late, begun := s.l.parent.sys.nowMS()-st.openedMS >= h2LeaveMS, st.phase != h2Head
		st.abandon()
		switch {
		case late:
			s.budget.waited()
		case !begun:
			s.spend(h2CostReset)
		case !s.budget.spendFree(h2CostLeave):
			s.spend(h2CostLeave)
		}
		return
	}
	if !s.budget.spendFree(h2CostFrame) { // see TestH2LeavesAreFree
		s.spend(h2CostFrame)
	}
}

// turn does what is left when a batch of frames, or of output, is done: streams begin and send, and the frames are given to the
// connection.
func (s *h2Conn) turn() {
	if s.turning = s.raw.state == rawOpen; !s.turning {
		return
	}
	s.stirred = true
	for rounds := 0; s.stirred && !s.queued && rounds < h2RoundsPerTurn; rounds++ {
		s.stirred = false
		s.finishStreams()
		s.makeRoom()
		s.startStreams()
		s.sendWaiting()
		s.boundTunnels()
		if s.peerGone {
			s.giveUpWaiting()
		}
	}
	if s.peerLeaves && len(s.streams) == 0 && !s.leaving && !s.failed {
		s.leave()
	}
	s.flush()
	s.turning = false
	switch {
	case len(s.streams) == 0 && (s.leaving || s.failed || s.peerGone):
		s.raw.Close()
		return
	case s.stirred:
		s.again()
	}
	s.updateDeadline()
}

// again makes the loop call turn.
func (s *h2Conn) again() {
	if s.turning {
		s.stirred = true
		return
	}
	s.queue()
}

// queue makes the loop call turn when the other connections have had theirs.
func (s *h2Conn) queue() {
	if !s.queued {
		s.queued = true
		s.l.agains.add(s)
	}
}

func (s *h2Conn) resume() {
	s.queued = false
	s.turn()
}

// inputEnded: the peer has sent its FIN. It may still read.
func (s *h2Conn) inputEnded() {
	if s.peerGone {
		return
	}
	s.peerGone = true
	for _, st := range s.streamsOf() {
		st.peerEnded()
	}
}

// Room implements backend.Stream.
func (s *h2Conn) Room(backend.Conn) {
	if s.paused {
		s.paused = false
		s.raw.Resume()
	}
	s.turn()
}

// Closed implements backend.Stream.
func (s *h2Conn) Closed(backend.Conn, error) {
	s.failed = true
	for _, st := range s.streamsOf() {
		st.abandon()
	}
	if s.block != nil {
		s.l.releaseBlock(s.block)
		s.block = nil
	}
	s.leaveHandlers()
	s.out.Release(s.l.pool)
	s.l.parent.sys.cancelTimer(&s.deadline.timer)
	s.l.conns.Remove(s)
	if s.l.parent.e.connState != nil {
		s.report(ConnClosed)
	}
}

// fail ends the connection because of an error of the peer (RFC 9113 §5.4.1). Its streams are lost.
func (s *h2Conn) fail(code h2Code, cause string) {
	if s.failed {
		return
	}
	s.failed = true
	s.countEnded(cause)
	s.l.parent.abused(s.service, s.raw.socket.peer)
	if cause == causeH2Flood {
		s.l.parent.flooded(s.service, &s.raw.socket)
	}
	s.putGoAway(s.lastID, code)
	b := *s.raw.bounds
	b.closeMS = 0 // there are no responses any more that would need time
	s.raw.bounds = &b
	if code == h2EnhanceYourCalm {
		s.tarpit()
	}
	for _, st := range s.streamsOf() {
		st.abandon()
	}
}

// tarpit leaves the connection as it is for a while. An honest client, which was mistaken for a flood, learns at once that its streams are lost,
// and need not wait for the end of the connection.
func (s *h2Conn) tarpit() {
	if s.block != nil {
		s.putReset(s.block.stream, h2EnhanceYourCalm)
	}
	for _, st := range s.streams {
		if !st.gone {
			s.putReset(st.id, h2EnhanceYourCalm)
		}
	}
	s.raw.tarpitMS = s.l.tarpitMS
}

// put appends frames to the output.
func (s *h2Conn) put(p []byte) {
	s.out.Append(s.l.pool, p)
	s.lastData = -1
	s.again()
}

func (s *h2Conn) putGoAway(last uint32, code h2Code) {
	p := h2Frame{length: 8, kind: h2GoAway}.append(nil)
	p = binary.BigEndian.AppendUint32(p, last)
	s.put(binary.BigEndian.AppendUint32(p, uint32(code)))
}

func (s *h2Conn) putReset(id uint32, code h2Code) {
	p := h2Frame{length: 4, kind: h2RSTStream, stream: id}.append(nil)
	s.put(binary.BigEndian.AppendUint32(p, uint32(code)))
	s.l.resetsSent++
	s.noteReset(id)
}

func (s *h2Conn) putWindow(id uint32, n uint32) {
	p := h2Frame{length: 4, kind: h2WindowUpdate, stream: id}.append(nil)
	s.put(binary.BigEndian.AppendUint32(p, n))
	if id == 0 {
		s.recvWindow += int64(n)
	}
}

// flush gives the frames to the connection.
func (s *h2Conn) flush() {
	if s.out.Len() > 0 {
		s.raw.Write(s.out.Unsent())
		s.out.Release(s.l.pool)
	}
	s.lastData = -1
}

// Expired implements timers.Expirer.
func (s *h2Conn) Expired(*timers.Timer) {
	nowMS := s.l.parent.sys.nowMS()
	if s.raw.state == rawOpen && s.deadline.due(&s.l.parent.sys, nowMS) {
		s.timedOut(nowMS)
		s.turn()
	}
}
