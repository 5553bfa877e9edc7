package engine

import (
	"context"
	"testing"
	"time"

	"moonbridge/reactor/reactortest"
)

// While Open waits for a name server, other listeners are opened and closed, and the engine ends. Then Open opens nothing any more.
func TestOpenWaitsForName(t *testing.T) {
	names := reactortest.SlowNames(t, 0)
	e := startEngine(t, Options{Loops: 1})
	opened := make(chan error, 1)
	go func() {
		_, err := e.Open("tcp4", "name.test.:0", OpenOptions{})
		opened <- err
	}()
	select {
	case <-names.Asked():
	case err := <-opened:
		t.Skip("this system asks no name server:", err)
	case <-time.After(waitMost):
		t.Fatal("no name server is asked")
	}
	others := make(chan error, 3)
	go func() {
		ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
		if others <- err; err == nil {
			others <- ln.Close()
		}
		others <- e.Shutdown(context.Background())
	}()
	for _, what := range []string{"Open", "Close", "Shutdown"} {
		if err := waitFor(t, others, what); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	names.Answer()
	if err := waitFor(t, opened, "the name"); err != ErrStopped {
		t.Errorf("%v, want ErrStopped", err)
	}
}
