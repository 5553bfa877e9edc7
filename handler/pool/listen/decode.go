package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"moonbridge/handler/shm"
)

// entry is one option of a listen{} call: of the pool (scope 0) or of a listener (from 1).
type entry struct {
	scope uint32
	name  string
	value value
}

// listenersMax bounds the listeners of one listen{} call: shm.Head.Listener has 16 bits.
const listenersMax = 1 << 10

// Decode reads the body of a MsgListen: what a listen{} call asks for. The text of an error is for the author of the script.
func Decode(msg []byte) (*Spec, error) {
	entries, err := splitEntries(msg)
	if err != nil {
		return nil, err
	}
	spec := &Spec{Options: Defaults()}
	var connect value
	for _, e := range entries {
		if e.scope == 0 {
			err = spec.Options.set(e, &connect)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := spec.Options.complete(forkDefaults(entries)); err != nil {
		return nil, err
	}
	for len(entries) > 0 {
		scope := entries[0].scope
		n := slices.IndexFunc(entries, func(e entry) bool { return e.scope != scope })
		if n < 0 {
			n = len(entries)
		}
		if scope > 0 {
			l, err := newListener(entries[:n], connect)
			if err != nil {
				return nil, fmt.Errorf("listener %d: %w", scope, err)
			}
			spec.Listeners = append(spec.Listeners, l)
		}
		entries = entries[n:]
	}
	if len(spec.Listeners) == 0 {
		return nil, errors.New("no listener in the table")
	}
	spec.Options.sortErrorPages()
	if err := spec.checkMains(); err != nil {
		return nil, err
	}
	if err := spec.checkRateLimit(); err != nil {
		return nil, err
	}
	if err := spec.checkConnectionLimit(); err != nil {
		return nil, err
	}
	if err := spec.checkRoutes(); err != nil {
		return nil, err
	}
	return spec, spec.checkStatic()
}

// checkMains refuses a pool in which main handlers, which do not end, would take all workers.
func (s *Spec) checkMains() error {
	mains := 0
	for i := range s.Listeners {
		if s.Listeners[i].Main() {
			mains++
		}
	}
	if others := len(s.Listeners) - mains; mains > s.Options.MaxFork || others > 0 && mains >= s.Options.MaxFork {
		return fmt.Errorf("max_fork (%d) is not enough: each listener of proto main needs a worker of its own", s.Options.MaxFork)
	}
	return nil
}

// forkDefaults returns the defaults of min_fork and max_fork. A pool whose listeners are all of proto main has one worker for
// each of them: it has nothing else to do.
func forkDefaults(entries []entry) (minFork, maxFork int) {
	listeners, mains := uint32(0), uint32(0)
	for _, e := range entries {
		listeners = max(listeners, e.scope)
		if e.scope > 0 && e.name == "proto" && e.value.text == "main" {
			mains++
		}
	}
	if mains > 0 && mains == listeners {
		return int(mains), int(mains)
	}
	return minForkDefault, maxForkDefault
}

// splitEntries takes the message apart, ordered by scope. Scopes of listeners have no gaps.
func splitEntries(msg []byte) (entries []entry, err error) {
	const size = int(unsafe.Sizeof(shm.Entry{}))
	for len(msg) > 0 {
		if len(msg) < size {
			return nil, errors.New("malformed message")
		}
		word := func(i int) uint32 { return binary.NativeEndian.Uint32(msg[4*i:]) }
		keyLen, valLen := uint64(word(1)), uint64(word(2))
		e := entry{scope: word(0), value: value{typ: word(3)}}
		if keyLen+valLen > uint64(len(msg)-size) {
			return nil, errors.New("malformed message")
		}
		rest := msg[size:]
		e.name, e.value.text = string(rest[:keyLen]), string(rest[keyLen:keyLen+valLen])
		msg = rest[keyLen+valLen:]
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return int(int64(a.scope) - int64(b.scope)) })
	last := uint32(0)
	for _, e := range entries {
		if e.scope > last+1 {
			return nil, errors.New("malformed message")
		}
		last = e.scope
	}
	if last > listenersMax {
		return nil, fmt.Errorf("%d listeners: more than %d", last, listenersMax)
	}
	return entries, nil
}

// set sets an option of the pool.
func (o *Options) set(e entry, connect *value) error {
	if e.name == "connect" {
		*connect = e.value
		return checkConnect(e)
	}
	if e.name == httpOptionsName {
		o.HTTPOptions = true
		return nil
	}
	if rule, ok := strings.CutPrefix(e.name, staticName+"\x00"); ok {
		return o.setStatic(rule, e.value)
	}
	if rule, ok := strings.CutPrefix(e.name, routesName+"\x00"); ok {
		return o.setRoute(rule, e.value)
	}
	if e.name == trustedName+"\x00" {
		return o.addTrusted(e.value)
	}
	if page, ok := strings.CutPrefix(e.name, errorPageName+"\x00"); ok {
		return o.addErrorPage(page, e.value)
	}
	if name, ok := strings.CutPrefix(e.name, rateLimitName+"\x00"); ok {
		return o.setRateLimit(name, e.value)
	}
	if name, ok := strings.CutPrefix(e.name, connectionLimitName+"\x00"); ok {
		return o.setConnectionLimit(name, e.value)
	}
	set := poolOptions[e.name]
	if set == nil && isParameter(e.name) {
		return fmt.Errorf("%q belongs in a listener's own table, as in listen{ { proto = \"tcp4\", port = 8080 }, … }", e.name)
	}
	if set == nil {
		return unknownOption(e.name)
	}
	if err := set(o, e.value); err != nil {
		return fmt.Errorf("option %s: %w", e.name, err)
	}
	return nil
}

func checkConnect(e entry) error {
	if e.value.is(shm.TypeFunc) || e.value.is(shm.TypeHTTP) {
		return nil
	}
	return fmt.Errorf("%s: %w", e.name, e.value.wrong("function"))
}

// optionLines are the pairs of a text "name=value\n…".
func optionLines(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for l := range strings.Lines(text) {
			name, v, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "=")
			if !yield(name, v) {
				return
			}
		}
	}
}
