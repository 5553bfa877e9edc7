package bus

import (
	"context"
	"errors"

	"moonbridge/handler/channel"
)

// queueBytes bounds the messages that wait to be appended.
const queueBytes = 32 << 20

// messageBytes is what a message counts for besides its texts.
const messageBytes = 128

// ErrFull is the error of Append when too many messages wait for the bus.
var ErrFull = errors.New("too many messages wait for the bus")

// Append implements channel.Log.
func (b *Bus) Append(name string, p channel.Post) error {
	e := channel.Entry{Channel: name, Post: p}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handed != nil {
		return channel.ErrMoved
	}
	if b.ended || b.waiting+sizeOf(&e) > b.queueBytes {
		return ErrFull // the hub counts it, unless it is to be tried again
	}
	b.waiting += sizeOf(&e)
	b.queue = append(b.queue, e)
	b.wake()
	return nil
}

// wake makes next look at what there is.
func (b *Bus) wake() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func sizeOf(e *channel.Entry) int {
	return messageBytes + len(e.Channel) + len(e.Post.Data) + len(e.Post.Event) + len(e.Post.ID) + len(e.Post.Key)
}

func sizeOfAll(list []channel.Entry) (size int) {
	for i := range list {
		size += sizeOf(&list[i])
	}
	return size
}

// next returns the batch that is to be appended. It waits until there is one.
func (b *Bus) next(ctx context.Context) (*batch, error) {
	for {
		if next := b.take(); next != nil {
			return next, nil
		}
		select {
		case <-b.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take makes a batch of what waits first. Until confirm or refuse is called it returns the same.
func (b *Bus) take() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handed != nil {
		return nil
	}
	switch {
	case b.sending != nil:
		b.sending.fixed = true // the connection has broken
	case len(b.first) > 0:
		b.sending, b.first = b.first[0], b.first[1:]
	case len(b.queue) > 0:
		b.sending = b.cut()
	}
	return b.sending
}

// cut makes a batch of what is first in the queue. Under mu.
func (b *Bus) cut() *batch {
	n, size := 0, 0
	for n < len(b.queue) && n < batchMessages {
		if size += sizeOf(&b.queue[n]); size > batchBytes && n > 0 {
			break
		}
		n++
	}
	b.number++
	next := &batch{origin: b.origin, number: b.number, entries: b.queue[:n:n]}
	if b.queue = b.queue[n:]; len(b.queue) == 0 {
		b.queue = nil
	}
	return next
}

// confirm is called when the batch that take has returned is in the log, or never will be.
func (b *Bus) confirm(refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sending == nil {
		return // it has been handed over, and will be sent a second time
	}
	done, n := b.sending, uint64(len(b.sending.entries))
	b.waiting -= sizeOfAll(done.entries)
	b.sending = nil
	switch {
	case !refused:
		b.stats.Sent += n
	case done.fixed && n > 0:
		b.stats.Dropped += n
		b.sending = &batch{origin: done.origin, number: done.number, fixed: true} // in its place: otherwise it would be missing
	case !done.fixed:
		b.stats.Dropped += n
		b.number-- // it is not missing
	}
	b.tellEmpty()
}

// tellEmpty tells those who want to know that nothing waits, if that is so.
func (b *Bus) tellEmpty() {
	if b.sending == nil && len(b.first)+len(b.queue) == 0 && b.emptied != nil {
		close(b.emptied)
		b.emptied = nil
	}
}

// empty returns a channel that is closed when nothing waits.
func (b *Bus) empty() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.emptied == nil {
		b.emptied = make(chan struct{})
	}
	at := b.emptied
	b.tellEmpty()
	return at
}
