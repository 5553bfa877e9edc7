package bus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/channel"
)

// Bus appends the messages of a hub to a log, and gives the hub what the log has.
type Bus struct {
	address    *Address
	hub        *channel.Hub
	log        *slog.Logger
	origin     uint64 // of our batches
	queueBytes int
	open       func(ctx context.Context, w *window) (session, error)

	mu      sync.Mutex
	queue   []channel.Entry // to be appended
	first   []*batch        // to be appended before queue: they have been handed over
	waiting int             // memory of queue, first and sending
	sending *batch          // on its way; nil: none
	number  uint64          // of the last batch that was made of queue
	others  []uint64        // origins of processes that we have taken over from, or that were to take over
	seen    origins         // whose batches the hub has
	more    chan struct{}   // has room for one: there is something in queue
	emptied chan struct{}   // to be closed when nothing waits; nil: Close does not wait
	ended   bool
	handed  *handed // what another process goes on with; nil: none does
	stats   Stats
	abort   context.CancelCauseFunc // of the present session; nil: there is none

	late     atomic.Bool   // the server serves already: what the log has is old
	full     chan struct{} // closed when the hub has what the log had when it was first connected
	fullOnce sync.Once
	cancel   context.CancelFunc
	done     chan struct{}

	// These belong to run.
	followed string // the name of the log that the hub follows
	suffix   string // of the names of a log that has lost its end
	filling  bool   // the hub is being given what was in the log before it came
	window   window
	lastErr  string
}

// Stats are the statistics of a Bus.
type Stats struct {
	Connected   bool
	Connections uint64 // made so far
	Sent        uint64 // messages that were appended
	Received    uint64 // messages of others
	Dropped     uint64 // messages that were not appended: too many waited, or the bus did not take them
	Gaps        uint64 // times that messages of others were missing
	Malformed   uint64 // entries that cannot be read
	Waiting     int    // memory of the messages that wait to be appended
}

// Times of a Bus.
const (
	// delayMin and delayMax bound the time between attempts to connect, which doubles.
	delayMin = 100 * time.Millisecond
	delayMax = 10 * time.Second
	// steady is how long a connection lasts after which the next attempt is made soon.
	steady = 10 * time.Second
	// dialTimeout and replyTimeout bound a connection attempt, and how long the bus may take for an answer.
	dialTimeout  = 5 * time.Second
	replyTimeout = 10 * time.Second
	// busyWait is the time until a hub is tried again that has too much to do.
	busyWait = 5 * time.Millisecond
	// startTimeout is how long a server waits for the bus before it serves.
	startTimeout = 5 * time.Second
	// endTimeout is how long it waits at its end for a bus that is away.
	endTimeout = time.Second
)

// New returns a Bus. The hub appends its messages to it from now on.
func New(a *Address, hub *channel.Hub, log *slog.Logger) *Bus {
	b := &Bus{
		address: a, hub: hub, log: log, origin: newOrigin(), queueBytes: queueBytes,
		more: make(chan struct{}, 1), full: make(chan struct{}), open: a.dial,
		window: window{maxEntries: logEntries, maxBytes: logBytes},
	}
	hub.UseLog(b)
	return b
}

// Start connects, and waits until the hub has what the log has, or for a while. After that it goes on in the background. A hub that
// does not have it by then goes without: its histories begin empty.
func (b *Bus) Start(ctx context.Context) { b.start(ctx, startTimeout) }

func (b *Bus) start(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var always context.Context
	always, b.cancel = context.WithCancel(context.Background())
	b.done = make(chan struct{})
	go b.run(always)
	select {
	case <-b.full:
	case <-ctx.Done():
	}
	b.late.Store(true)
	select {
	case <-b.full:
	default:
		b.restart()
	}
}

// errLate ends a session that gives the hub what is old by now.
var errLate = lateError{}

type lateError struct{}

func (lateError) Error() string { return "the bus took too long to pass on its messages" }

// restart ends the present session, if there is one.
func (b *Bus) restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abort != nil {
		b.abort(errLate)
	}
}

// Close appends what waits, until ctx is done, and ends the Bus. If the bus is away, it waits for a short time only.
func (b *Bus) Close(ctx context.Context) {
	b.mu.Lock()
	b.ended = true
	connected := b.stats.Connected
	b.mu.Unlock()
	if b.done == nil {
		return
	}
	if !connected {
		short, cancel := context.WithTimeout(ctx, endTimeout)
		defer cancel()
		ctx = short
	}
	select {
	case <-b.empty():
	case <-ctx.Done():
	}
	b.cancel()
	select {
	case <-b.done:
	case <-ctx.Done(): // the library of NATS cannot be interrupted while it connects, which takes seconds for each server that does not answer
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sending != nil {
		b.first = append(b.first, b.sending)
	}
	for _, one := range b.first {
		b.stats.Dropped += uint64(len(one.entries))
	}
	if b.stats.Dropped += uint64(len(b.queue)); b.waiting > 0 {
		b.log.Warn("bus: messages were not sent before the end", "bytes", b.waiting)
	}
}

// Stats returns the statistics.
func (b *Bus) Stats() Stats {
	refused := b.hub.Stats().Refused // not under mu: see channel.Hub.Apply
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Waiting = b.waiting
	s.Dropped += refused
	return s
}

// note counts something.
func (b *Bus) note(count func(s *Stats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	count(&b.stats)
}

// newSuffix makes a name different from all others.
func newSuffix() string {
	var r [4]byte
	rand.Read(r[:])
	return "x" + hex.EncodeToString(r[:])
}
