package bus

import (
	"context"
	"errors"
	"sync"
)

// session is a connection to a log.
type session interface {
	// about says which log it is, and what it has now.
	about(ctx context.Context) (about, error)
	// append appends an entry. If the error is errRefused, it will never be taken; after any other it may have been appended or not.
	append(ctx context.Context, b *batch) error
	// follow calls fn with all entries after one, in their order, until ctx is done, the connection breaks, or fn returns an error.
	follow(ctx context.Context, after uint64, fn func(e *entry) error) error
	close()
}

// about is what there is to know about a log.
type about struct {
	name        string // letters and digits: another log has another one
	first, last uint64 // entries; if there are none, first is after last
}

// entry is an entry of a log. Their numbers grow, not necessarily by 1.
type entry struct {
	number uint64
	time   int64 // milliseconds since 1970
	data   []byte
}

// The log keeps the last entries, as many as fit into these.
const (
	logEntries = 10_000
	logBytes   = 64 << 20
)

// errRefused says that an entry is not taken, whatever happens.
var errRefused = errors.New("the bus does not take a message")

// dial opens the connection. The session that it returns may be used by two goroutines.
func (a *Address) dial(ctx context.Context, w *window) (session, error) {
	if a.kind == natsServers {
		return dialNATS(ctx, a)
	}
	return dialRedis(a, w), nil
}

// reset forgets all.
func (w *window) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries, w.bytes, w.begin = nil, 0, 0
}

// window are the numbers and sizes of the entries at the end of a log, from which follows where it is to begin.
type window struct {
	mu      sync.Mutex
	entries []windowEntry
	bytes   int
	begin   uint64 // 0: all are to be kept

	maxEntries, maxBytes int
}

type windowEntry struct {
	number uint64
	bytes  int
}

// add takes note of an entry.
func (w *window) add(number uint64, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, windowEntry{number, bytes})
	w.bytes += bytes
	for len(w.entries) > w.maxEntries || w.bytes > w.maxBytes && len(w.entries) > 1 {
		w.bytes -= w.entries[0].bytes
		w.entries = w.entries[1:]
		w.begin = w.entries[0].number
	}
}

// begins is the first entry that is to be kept; 0: all are.
func (w *window) begins() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begin
}
