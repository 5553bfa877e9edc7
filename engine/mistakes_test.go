package engine

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

type incomparable struct{ _ []int }

func (incomparable) Attach(backend.Loop) (backend.LoopBackend, error) { return &testLoopBackend{}, nil }

type attachesNothing struct{ _ int }

func (*attachesNothing) Attach(backend.Loop) (backend.LoopBackend, error) { return nil, nil }

// What cannot be served panics in the call that gives it, and the engine goes on.
func TestMistakesPanicInTheCall(t *testing.T) {
	e, other := startEngine(t, Options{Loops: 2}), startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, p := &testBackend{}, echo(t, nil)
	for _, c := range []struct {
		want string
		call func()
	}{
		{"Serve: the listener is nil", func() { e.Serve(nil, b, 0, Limits{}) }},
		{"Serve: the backend is nil", func() { e.Serve(ln, nil, 0, Limits{}) }},
		{"incomparable cannot be compared with others: use a pointer", func() { e.Serve(ln, incomparable{}, 0, Limits{}) }},
		{"Serve: the listener belongs to another engine", func() { other.Serve(ln, b, 0, Limits{}) }},
		{"ServeTCP: the backend is nil", func() { e.ServeTCP("127.0.0.1:0", nil, Limits{}) }},
		{"ServeSockets: the listener is nil", func() { e.ServeSockets(nil, b, 0) }},
		{"ServeSockets: the backend is nil", func() { e.ServeSockets(ln, nil, 0) }},
		{"ServeProtocol: the listener is nil", func() { e.ServeProtocol(nil, p, ProtocolOptions{}) }},
		{"ServeProtocol: the protocol is nil", func() { e.ServeProtocol(ln, nil, ProtocolOptions{}) }},
		{"Attach: the backend is nil", func() { e.Attach(nil) }},
		{"Detach: a backend of type engine.incomparable cannot", func() { e.Detach(incomparable{}) }},
		{"Adopt: the listener is nil", func() { e.Adopt(nil) }},
		{"Loop.Post: what is to be called is nil", func() { e.Loop(0).Post(nil) }},
		{"Loop.After: what is to be called is nil", func() { onLoopPanic(t, e, func(l backend.Loop) { l.After(0, nil) }) }},
		{"Dial: what is to be called is nil", func() {
			onLoopPanic(t, e, func(l backend.Loop) { l.(backend.Dialer).Dial(backend.Address{}, backend.DialOptions{}, p, nil) })
		}},
		{"Dial: what is to be called is nil", func() {
			onLoopPanic(t, e, func(l backend.Loop) {
				l.(backend.Dialer).Dial(backend.Address{}, backend.DialOptions{}, nil, func(error) {})
			})
		}},
		{"SetTLS: TLS.Config is nil", func() { ln.SetTLS(&TLS{}) }},
		{"SetPreface: Parse, Bytes and Timeout", func() { ln.SetPreface(&backend.Preface{Bytes: 1, Timeout: time.Second}) }},
	} {
		got := panicOf(c.call)
		if !strings.HasPrefix(got, "engine: ") || !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := panicOf(func() { ln.ServeConn(nil) }); got == "" {
		t.Error("ServeConn(nil) does not panic")
	}
	if err := e.Serve(ln, b, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// onLoopPanic calls f on a loop, and panics as it does.
func onLoopPanic(t *testing.T, e *Engine, f func(backend.Loop)) {
	var text string
	onLoop(t, e.Loop(0), func() { text = panicOf(func() { f(e.Loop(0)) }) })
	panic(text)
}

func panicOf(f func()) (text string) {
	defer func() {
		if cause := recover(); cause != nil {
			text = fmt.Sprint(cause)
		}
	}()
	f()
	return ""
}

// An Attach that has made nothing would end the program with the first request.
func TestAttachOfNothing(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &attachesNothing{}, 0, Limits{}); err == nil || !strings.Contains(err.Error(), "*engine.attachesNothing.Attach returned nil") {
		t.Error(err)
	}
}

// Lines that would change where a response ends are refused.
func TestLimitsCheckLines(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for lines, ok := range map[string]bool{
		"": true, "A: b\r\n": true, "A: b\r\nC:d\r\n": true,
		"A: b": false, "A: b\n": false, "A: b\r\n\r\n": false, "A\r\n": false, "A b: c\r\n": false, "A: b\nC: d\r\n": false, ": b\r\n": false,
	} {
		for name, lim := range map[string]Limits{"Fields": {Fields: lines}, "Always": {Always: lines}} {
			err := e.Serve(ln, &testBackend{}, 0, lim)
			if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "Limits."+name) {
				t.Errorf("%s %q: %v", name, lines, err)
			}
		}
	}
}
