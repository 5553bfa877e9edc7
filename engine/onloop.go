package engine

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strconv"
)

// ErrOnLoop is returned by methods of Engine and Listener that wait for the loops, if one of the loops calls them: in a handler, a
// Stream, a posted function. It would wait for itself. A goroutine has to make the call.
var ErrOnLoop = errors.New("engine: called on a loop, which it would have to wait for")

// onLoop reports whether the caller is one of the loops. What a loop's goroutine runs aside may wait for the loop: another goroutine
// becomes the loop then.
func (e *Engine) onLoop() bool {
	id := goroutineID()
	return slices.ContainsFunc(e.loops, func(l *loop) bool { return l.r.Leading() && l.goroutine.Load() == id })
}

// goroutineID is the number of the calling goroutine, as stack traces have it. There is no other way to learn it; it takes about a
// microsecond.
func goroutineID() uint64 {
	var room [64]byte
	text := bytes.TrimPrefix(room[:runtime.Stack(room[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
