package engine

import (
	"cmp"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Options configure an Engine. The zero value is a usable default.
type Options struct {
	// Loops is the number of event loops. Each takes the time of one processor at most. 0 or less means DefaultLoops, more than 1024 is an error. If handlers on
	// goroutines compute for milliseconds, set GOMAXPROCS to more than New does: see "Handlers that compute" in docs/go.md.
	Loops int
	// Batch puts the threads of the loops into the scheduling class SCHED_BATCH. Under load, each turn of a loop then handles
	// more requests at less cost. The price is that a loop waits, for some milliseconds at most, for the rest of another
	// thread's time slice if both want the same processor. Linux only. If the system refuses, the loops run as without it, and
	// say so in the log. Each loop's goroutine is locked to its thread, and functions that are called on a loop must leave it so:
	// runtime.LockOSThread without UnlockOSThread would end the program at the next TLS handshake.
	Batch bool
	// Fill has new connections fill the loops one after the other: each gets up to Fill before the next one gets any. When all have as
	// many, the kernel spreads connections. Up to Fill connections that a peer opens within 10 ms stay together in any case, if their loop
	// had room for the first; so a loop may get up to twice as many, less one. A loop does at once what it finds for several connections in a turn, so a few busy ones
	// cost much less together than one on each loop. The price is that they have one processor between them: it is not for handlers that
	// compute on the loop. Connections that were dialed count, too. Raw connections of backends that take sockets (ServeSockets) are
	// always spread, and those of Adopt and ServeConn go to the loops in turn. 0 or less: all are spread.
	Fill int
	// MaxConns bounds the connections of all listeners together, hijacked ones included until they are closed. A connection
	// above it is answered with 503, with TLS with an alert, and closed; a raw one is reset. 0 or less, or more than the limit on open files (RLIMIT_NOFILE) allows: what that limit leaves after 256
	// reserved files, or half of it if that is more.
	MaxConns int
	// Handshakes bounds the TLS handshakes that are in progress at a time. As many more wait for their turn; a connection above
	// that is closed with an alert. 0 or less means 4096.
	Handshakes int
	// Check makes mistakes in handlers and Protocols show: memory that views point to is overwritten as soon as they are not valid
	// any more, and a Request or Response of handler.OnLoop that is used after Serve panics, with a nil pointer. It is for tests: each
	// buffer is overwritten when it is given back.
	Check bool
	// Stalled is called when a loop has been busy with one turn for longer than StallAfter, once for that turn: a handler or a
	// Stream blocks it, and all other connections of the loop wait. stack says where. It is called on a goroutine of its own. nil:
	// turns are not watched.
	Stalled func(loop int, turn time.Duration, stack []byte)
	// StallAfter is 100 ms by default, also if it is negative.
	StallAfter time.Duration
	// Logger receives what operators need to know. nil: slog.Default().
	Logger *slog.Logger
	// Spool is for listeners whose Limits ask for it.
	Spool Spool
	// AccessLog is called for each exchange when it is over, because a response (a backend's or the engine's own) was sent
	// or broke off. It is called on the loop of the connection, so it must not block and must not call the Engine. Calls on
	// different loops overlap. nil: nothing is recorded, and no clock is read.
	AccessLog func(*Access)
	// AccessBrief keeps no copy of requests for AccessLog, and gives them no ID: its entries have nothing of their heads, unless a
	// trace is recorded. Total and Queue include the time that a request waited in the turn in which it was read. Service may not be
	// known. Time is zero without Trace, and does not follow changes of the system's clock with it. It is for those who only count.
	AccessBrief bool
	// Trace gives requests ids of traces. nil: no cost.
	Trace *Tracing
	// MeasureTurns has the loops measure how long their turns take, for Stats. It costs a clock reading per turn.
	MeasureTurns bool
	// ConnState is called when the state of a connection has changed, as http.Server.ConnState. Raw connections, and those above
	// MaxConns, are not reported. It is called on the loop of the connection, under the rules of AccessLog. nil: no cost.
	ConnState func(ConnInfo, ConnState)
}

// Spool is where request bodies (Limits.SpoolBody) and responses (Limits.SpoolOutput) wait for slow peers: in unnamed files.
// Each is an open file of the process, which counts like a connection.
type Spool struct {
	// Dir is the directory of the files. "" means os.TempDir(). If it is in memory (tmpfs), so is all spooled data.
	Dir string
	// Bytes bounds the files together. A request body that does not fit is refused with 503, one that could never fit with 507.
	// A response that does not fit waits in its backend. 0 means 4 GiB, a negative number no limit.
	Bytes int64
}

const (
	// loopsMax bounds Options.Loops. Each loop has a thread and a poller.
	loopsMax = 1024
	// loopsDefaultMax bounds DefaultLoops. A pool of Lua workers has room for 248 loops, and each of its workers a doorbell for each loop.
	loopsDefaultMax = 128
)

func (o Options) loops() int { return cmp.Or(max(o.Loops, 0), DefaultLoops()) }

func (o Options) handshakes() int { return cmp.Or(max(o.Handshakes, 0), handshakesDefault) }

// DefaultLoops is the number of event loops of an Engine whose Options do not say: what GOMAXPROCS was when New or DefaultLoops
// was first called, but at most 128. So it is the number of processors that the environment, the program, or the CPU limit of the cgroup allows.
func DefaultLoops() int { return min(procsAtFirst(), loopsDefaultMax) }

// procsAtFirst is the number of processors before New has raised it.
var procsAtFirst = sync.OnceValue(func() int { return runtime.GOMAXPROCS(0) })

// sharesProcs reports whether there is one processor of Go's scheduler, which the loops can share with other goroutines.
func (o Options) sharesProcs() bool {
	return runtime.GOMAXPROCS(0) == 1 && !o.Batch && runtime.GOOS == "linux"
}

// raiseProcs gives Go's scheduler two processors more than there are loops, unless the environment says how many it has.
func raiseProcs(loops int) {
	procsAtFirst()
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < loops+2 {
		runtime.GOMAXPROCS(loops + 2)
	}
}

func (o Options) logger() *slog.Logger { return cmp.Or(o.Logger, slog.Default()) }

// Limits bound what one connection may cost. A field of 0 means its default. A negative one means no limit, except that a
// negative BufferBody or OutputBytes buffers nothing, and a negative DrainTimeout closes at once. Timeouts are rounded up
// to milliseconds.
type Limits struct {
	HeadBytes int64 // request line and fields. Above: 431, or 414 for the target. Default 1 MiB, at most 1 GiB
	BodyBytes int64 // content of a request body. Above: 413. Default 64 MiB
	// BufferBody: a body of up to this many bytes is awaited before it occupies a handler, if the request tells its length and has no
	// Expect: 100-continue. Default 64 KiB.
	BufferBody  int64
	OutputBytes int64 // response bytes held in memory for a peer that reads slowly. Default 128 KiB

	// Overlap is how many pipelined requests of one connection may be in progress at a time, if they are safe and have no
	// body (RFC 9112 §9.3.2). A backend.Overlapping may want fewer. Default 16; a negative number means one.
	Overlap int

	// SpoolBody means that every request body arrives completely before it occupies a handler. A body of more than BufferBody
	// waits in a file of Options.Spool, and Expect: 100-continue is answered at once. It has no effect if the backend takes no
	// files (it is not a backend.FileBackend).
	SpoolBody bool
	// SpoolOutput is how many bytes of a response beyond OutputBytes may wait in a file of Options.Spool, so that a slow peer
	// does not occupy a handler. 0 means none.
	SpoolOutput int64

	// BodyCodings are the content codings (RFC 9110 §8.4) of which a request body may have one, for a backend that decodes
	// them. Any other body is refused with 415. 0 means that nothing is refused: the handler gets every body as it was sent.
	BodyCodings httpparse.Codings

	IdleTimeout     time.Duration // waiting for a request. Then the connection is closed. Default 65 s
	HeadTimeout     time.Duration // from the first byte of a request to the end of its head. Then 408. Default 120 s
	StallTimeout    time.Duration // no byte moved in a body (then 408, or 400 where a handler runs) or a response (reset). Default 60 s
	ResponseTimeout time.Duration // from the request's head to the end of the response. Then reset. Default 3600 s
	DrainTimeout    time.Duration // a closing connection waits for the peer to close (RFC 9112 §9.6). Then closed. Default 2 s

	// H2C lets peers speak HTTP/2 without TLS if they know that they may (RFC 9113 §3.3). With TLS, the names in tls.Config.NextProtos
	// decide: see TLS.
	H2C bool

	// Connect passes CONNECT requests on to the backend, for forward proxies. Without it they are refused with 501. Their
	// connections end with the response, unless the backend takes them over (backend.Upgrader). Over HTTP/2 that is said of streams.
	Connect bool

	PeerEnd PeerEnd // what it means that the peer has sent its FIN during an exchange. Default PeerEndCancel

	// TrustedProxies finds out who the client of each request is, as a *forwarded.Trusted does. The access log then has that client. nil:
	// it is the peer of the connection.
	TrustedProxies Identifier

	// NoFloodPenalty switches off what is done about addresses that flood connections with HTTP/2, lose them for that, and connect again.
	// Each of their handshakes costs more than a flood. An address, or the /64 of an IPv6 address, that has lost 10 connections within 10
	// seconds may open 10 a second for 10 seconds, or for as long as it goes on. What is above that is reset as with
	// Listener.SetConnLimit. It may keep those that it has. Exempt are Unix sockets, addresses that TrustedProxies has (if it has
	// a method Has, as a *forwarded.Trusted), and connections whose preface (Listener.SetPreface) names no client. Switch it off if
	// many clients have the address of a proxy that passes on their connections and is not named in any of these ways.
	NoFloodPenalty bool

	// Account is given back with each entry of the access log, to tell listeners apart.
	Account any

	// Fields are field lines, each with its CR LF, that the responses which the engine makes itself have besides their own. They
	// must be valid. Content-Type is left out; Connection: close ends the connection.
	Fields string

	// ErrorPages are the bodies of the error responses that the engine makes itself. nil: the reason phrase as plain text.
	ErrorPages *httpwrite.ErrorPages

	// Always are field lines, each with its CR LF, that the final head of every response has after its status line: of the responses
	// of backends too. They must be valid, and not be those that frame a message. A request that was sent without TLS to a listener
	// with TLS is answered without them, and so is one with which a connection leaves HTTP (backend.Upgrader).
	Always string
}

// Identifier sets Client and Secure of a request's head, before a backend gets it. peer is not valid on a Unix socket. Calls on
// different loops overlap.
type Identifier interface {
	Identify(h *httpparse.Head, peer netip.Addr)
}

// The defaults of Limits, and limits that are not options.
const (
	headBytesDefault   = 1 << 20
	bodyBytesDefault   = 64 << 20
	bufferBodyDefault  = 64 << 10
	outputBytesDefault = 128 << 10
	spoolBytesDefault  = 4 << 30
	overlapDefault     = 16

	idleTimeoutDefault     = 65 * time.Second
	headTimeoutDefault     = 120 * time.Second
	stallTimeoutDefault    = 60 * time.Second
	responseTimeoutDefault = 3600 * time.Second
	drainTimeoutDefault    = 2 * time.Second

	// headBytesMax is the bound on a head that has no limit.
	headBytesMax = 1 << 30
	// readsPerTurn bounds how often one connection reads before the others get their turn, so that a fast upload does not
	// starve them.
	readsPerTurn = 16
	// drainBytesMax is how many bytes a lingering connection reads and throws away before it is reset.
	drainBytesMax = 16 << 20
	// reservedFiles are kept free of connections: for listeners, pollers, doorbells, logs and the pipes of workers.
	reservedFiles = 256
)

// noLimit stands for "none": more than anything that is compared with it.
const noLimit = int64(1) << 62

// limits are Limits with the defaults filled in; times in milliseconds, 0 for none.
type limits struct {
	head httpparse.Limits

	body        httpparse.BodyLimits
	outputBytes int
	spoolOutput int64 // 0: none
	overlap     int
	fixed       httpwrite.Fixed
	plain       httpwrite.Fixed // without TLS on a listener with TLS

	idleMS, headMS, stallMS, responseMS, drainMS uint64

	peerEnd PeerEnd
	h2c     bool
}

func (l Limits) resolve() limits {
	return limits{
		head: httpparse.Limits{
			HeadBytes: int(min(orDefault(l.HeadBytes, headBytesDefault, headBytesMax), headBytesMax)), Connect: l.Connect,
		},
		body: httpparse.BodyLimits{
			Bytes: orDefault(l.BodyBytes, bodyBytesDefault, noLimit),
			Await: orDefault(l.BufferBody, bufferBodyDefault, 0),
			Whole: l.SpoolBody, Codings: l.BodyCodings,
		},
		fixed:       httpwrite.NewFixed(l.Always + l.Fields),
		plain:       httpwrite.NewFixed(l.Fields),
		outputBytes: int(orDefault(l.OutputBytes, outputBytesDefault, 0)),
		spoolOutput: max(l.SpoolOutput, 0),
		overlap:     int(orDefault(int64(l.Overlap), overlapDefault, 1)),
		idleMS:      milliseconds(l.IdleTimeout, idleTimeoutDefault),
		headMS:      milliseconds(l.HeadTimeout, headTimeoutDefault),
		stallMS:     milliseconds(l.StallTimeout, stallTimeoutDefault),
		responseMS:  milliseconds(l.ResponseTimeout, responseTimeoutDefault),
		drainMS:     milliseconds(l.DrainTimeout, drainTimeoutDefault),
		peerEnd:     l.PeerEnd,
		h2c:         l.H2C,
	}
}

func orDefault(v, def, none int64) int64 {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

// milliseconds rounds up, so that no timeout ends early. A result of 0 means none.
func milliseconds(d, def time.Duration) uint64 {
	if d < 0 {
		return 0
	}
	d = cmp.Or(d, def)
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}
