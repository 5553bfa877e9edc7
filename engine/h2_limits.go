package engine

import (
	"cmp"
	"log/slog"
	"math"

	"moonbridge/handler/logging"
)

// Limits of a connection with HTTP/2. Those of Limits hold for each of its streams, as for a connection of HTTP/1.
const (
	// h2StreamsMax is how many streams of a connection may be open.
	h2StreamsMax = 128
	// h2OverlapMin is how many of them may begin within h2LookMS, whatever the backend wants: as many as a browser would have connections.
	h2OverlapMin = 6
	// h2StreamWindow and h2ConnWindow are how many bytes of bodies a peer may send that no handler has taken, on a stream and on the
	// connection. So they bound what is kept of them.
	h2StreamWindow = 256 << 10
	h2ConnWindow   = 1 << 20
	// h2TableBytes bounds the table of field lines that a peer may refer to (RFC 7541 §4).
	h2TableBytes = 4 << 10
	// h2HeldMax is how many bytes wait for a peer that reads slowly. Then its streams wait.
	h2HeldMax = 64 << 10
	// h2AnswersMax is how many more may wait, of answers to frames. Then no more frames are read.
	h2AnswersMax = 32 << 10
	// h2SendAhead is how many bytes of frames are collected before they are sent.
	h2SendAhead = 32 << 10
	// h2Share is how many bytes a stream sends before another one of the same urgency that is incremental too has its turn.
	h2Share = 16 << 10
	// h2SendsPerTurn bounds how often streams of a connection send before other connections have their turn.
	h2SendsPerTurn = 64
	// h2RoundsPerTurn bounds how often streams of a connection are looked at, because one has ended or begun, before other connections
	// have their turn.
	h2RoundsPerTurn = 4
	// h2ContinuationsMax bounds the CONTINUATION frames of one field section.
	h2ContinuationsMax = 128
	// h2BlockOverhead is how many bytes of a field section may be more than the fields decode to.
	h2BlockOverhead = 4 << 10
	// h2ResetsKnown is how many streams that were reset are remembered: frames of theirs may be on their way.
	h2ResetsKnown = 128
	// h2OrdersKept is how many priorities are kept of streams that have not begun. Further ones are ignored.
	h2OrdersKept = 16
	// h2HeadsMax bounds the heads of the streams that wait for others of their connection, in bytes. One of them may be larger.
	h2HeadsMax = 1 << 20
	// h2WidenedMax is how many streams of a loop make the windows of their connections larger by their own, so that what they leave unread does not
	// stop others.
	h2WidenedMax = 1024
	// h2TunnelsHeldMax is how many bytes may wait in the tunnels of a connection for a peer that does not take them. Then the tunnel
	// with the most is reset.
	h2TunnelsHeldMax = 8 << 20
	// h2TarpitMS is for how long the connection of a peer that is cut off because of a flood is left as it is, unread, in milliseconds: see
	// rawConn.tarpit.
	h2TarpitMS = 1000
	// h2DrainMS is how long a connection that ends waits for the answer of its peer, in milliseconds.
	h2DrainMS = lastRequestMS
	// h2LookMS is for how long a stream in progress counts when others want to begin, and how often these look, in milliseconds.
	h2LookMS = 100
)

// A peer has a budget for frames that cost us more than they cost it, and are no requests. Ordinary peers send few of them.
// Exchanges that are complete fill it up, and so does time. For the data that we send, a peer has a number of WINDOW_UPDATE and PING
// frames free. They are no part of the budget: otherwise a peer that gives window byte by byte could buy resets for them.
//
// The client of net/http sends two WINDOW_UPDATE frames for each 4 KiB that its program reads, even when all data has come. That of gRPC
// for Go measures the bandwidth by PINGs while data comes, one after the other.
//
// A client that gives up a response of which it has got a part is no rapid reset: it has waited for the response, as for one that it takes
// as a whole. Browsers do that in videos, programs that need only the beginning of a file, and those that follow a stream of events until
// one has come. So it comes out of what is free, too, with the PING that the client of net/http sends after its RST_STREAM.
//
// A client that gives up after 50 ms is none either. It has taken a place among the streams of its connection for that long, so
// there are no more than 2560 in a second, fewer than the requests of an ordinary client. When a server is slow, the calls of a client of gRPC
// reach their deadlines all the time, and its other calls go on.
const (
	h2BudgetMax       = 1000
	h2BudgetPerSecond = 100

	h2CostReset    = 4 // a stream that the peer gives up soon, without a response
	h2CostLeave    = 1 // a stream that the peer gives up soon, and whose response has begun
	h2CostMistake  = 8 // a stream that we reset because of what the peer has sent
	h2CostFrame    = 2 // PING, SETTINGS, PRIORITY, PRIORITY_UPDATE, empty DATA, CONTINUATION, frames that we do not know
	h2CostWindow   = 1 // WINDOW_UPDATE
	h2GainExchange = 4 // a complete exchange
	h2FreeUpdates  = 3 // WINDOW_UPDATE frames, for a head or a DATA frame that was sent; a PING counts as h2CostFrame of them

	h2LeaveMS = 50 // how long a stream must last that is given up at no cost

	h2FreeUnit = 1 << 10 // bytes of a DATA frame that was sent for which one more is free
	h2FreeMax  = 1 << 20 // how many may be saved up: enough for the 1 GiB that the client of net/http lets come before it reads

	h2SettingsFree = 16 // settings in a frame; each further time that many cost 1

	h2ExpansionFree = 16 << 10 // bytes that the fields of a section may be more than twice what was received
	h2ExpansionUnit = 64       // bytes more that cost 1
)

// h2Budget is what is left of the budget.
type h2Budget struct {
	left   int32
	free   int32  // WINDOW_UPDATE frames that cost nothing, and what counts like them
	fullMS uint64 // when time was last counted
}

func newH2Budget(nowMS uint64) h2Budget { return h2Budget{left: h2BudgetMax, fullMS: nowMS} }

// spend takes n. It returns false if there is not as much left.
func (b *h2Budget) spend(nowMS uint64, n int32) bool {
	if b.left < n {
		gained := min((nowMS-b.fullMS)*h2BudgetPerSecond/1000, h2BudgetMax)
		if gained > 0 {
			b.fullMS = nowMS
			b.gain(int32(gained))
		}
	}
	b.left -= n
	return b.left >= 0
}

func (b *h2Budget) gain(n int32) { b.left = min(b.left+n, h2BudgetMax) }

// sentData: a DATA frame with n bytes was sent, or the head of a response, with 0.
func (b *h2Budget) sentData(n int) { b.free = min(b.free+h2FreeUpdates+int32(n/h2FreeUnit), h2FreeMax) }

// waited: the peer has given up a stream that has lasted. A PING may follow it.
func (b *h2Budget) waited() { b.free = min(b.free+h2CostFrame, h2FreeMax) }

// spendFree takes n from what is free, for a WINDOW_UPDATE or PING frame, or for a response that is given up. It returns false if there
// is not as much.
func (b *h2Budget) spendFree(n int32) bool {
	if b.free < n {
		return false
	}
	b.free -= n
	return true
}

// Messages and causes of the log.
const (
	h2ConnsEnded   = "HTTP/2 connections ended"
	h2TunnelsEnded = "HTTP/2 tunnels reset"

	causeH2Preface      = "no HTTP/2 preface"
	causeH2FrameSize    = "frame size"
	causeH2Order        = "frame out of order"
	causeH2Stream       = "frame for no stream"
	causeH2Setting      = "invalid setting"
	causeH2Window       = "flow control"
	causeH2Fields       = "field section not decodable"
	causeH2FieldsLarge  = "field section too large"
	causeH2Flood        = "too many frames that are no requests"
	causeH2Stalled      = "responses not taken in time"
	causeH2HeadTooLarge = "request head too large"
	causeH2Protocol     = "CONNECT for an unknown protocol"
	causeH2Tunnels      = "too much output waits on the connection"
)

// h2Causes are all for which connections are ended.
var h2Causes = []string{
	causeH2Preface, causeH2FrameSize, causeH2Order, causeH2Stream, causeH2Setting, causeH2Window, causeH2Fields, causeH2FieldsLarge, causeH2Flood,
	causeH2Stalled,
}

// countEnded counts a connection that is ended because of what its peer has done.
func (s *h2Conn) countEnded(cause string) {
	s.l.parent.e.tally.Add(logging.Event{Level: slog.LevelInfo, Message: h2ConnsEnded, Cause: cause}, func() []slog.Attr {
		return clientAttr(s.raw.socket.peer)
	})
}

// h2BoundsOf are those of the raw connections. The last responses of a connection have the time of others.
func h2BoundsOf(lim *limits) *rawBounds {
	return &rawBounds{input: rawInputDefault, output: h2HeldMax, lingerMS: lim.drainMS, closeMS: cmp.Or(lim.stallMS, math.MaxUint32)}
}
