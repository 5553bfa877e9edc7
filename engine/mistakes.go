package engine

import (
	"fmt"
	"reflect"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// Mistakes of the program panic where it makes them. On a loop the traceback would not show the call, and a connection of a client
// that comes later would end the program.

// mustOwn panics if a listener cannot be served by e.
func (e *Engine) mustOwn(call string, ln *Listener) {
	switch {
	case ln == nil:
		panic("engine: " + call + ": the listener is nil")
	case ln.e != e:
		panic("engine: " + call + ": the listener belongs to another engine")
	}
}

// mustCompare panics if b cannot be a key of a loop's backends.
func mustCompare(call string, b backend.Backend) {
	switch {
	case b == nil:
		panic("engine: " + call + ": the backend is nil")
	case !reflect.ValueOf(b).Comparable():
		panic(fmt.Sprintf("engine: %s: a backend of type %T cannot be compared with others: use a pointer to it", call, b))
	}
}

// mustCall panics if something that the loop will call is nil.
func mustCall(call string, there bool) {
	if !there {
		panic("engine: " + call + ": what is to be called is nil")
	}
}

// checkLines reports lines of Limits that are no field lines: responses with them would have another end than clients see.
func (l *Limits) checkLines() error {
	if !httpwrite.ValidLines(l.Fields) {
		return fmt.Errorf("engine: Limits.Fields: %q are not field lines that end with CR LF", l.Fields)
	}
	if !httpwrite.ValidLines(l.Always) {
		return fmt.Errorf("engine: Limits.Always: %q are not field lines that end with CR LF", l.Always)
	}
	return nil
}
