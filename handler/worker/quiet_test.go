package worker

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// What the server's order to end the input does to raw connections (testdata/quiet.lua).

// orderEnd sends the order until stop says that it has been followed.
func (w *worker) orderEnd(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
			w.control.Write([]byte{shm.CtlEndInput})
		}
	}
}

// orders ends the input, and returns what the client reads up to the end.
func (c *rawConn) orders() string {
	c.w.t.Helper()
	stop := make(chan struct{})
	ordered := make(chan struct{})
	go func() {
		c.w.orderEnd(stop)
		close(ordered)
	}()
	got, err := c.read()
	close(stop)
	<-ordered
	if err != nil {
		c.w.t.Errorf("client read %q, %v\nstderr: %s", got, err, c.w.stderr)
	}
	return got
}

// A handler that waits for its peer finds the end of the input, and can say good-bye. A message that broke off is not given to
// it, unless it reads from the file handle.
func TestQuietConnectionEnds(t *testing.T) {
	const why = "bye nil the server is stopping"
	w := mustLoad(t, "quiet.lua").fork(0, small)
	for _, network := range []string{"tcp4", "unix"} {
		for _, c := range []struct {
			listener   uint16
			send, want string
		}{
			{0, "", why}, {0, "hello\n", "hello\n" + why}, {0, "half a line", why}, {1, "half a file", why},
			{2, "half a message", why}, {3, "half a line", "bye half a line nil"},
		} {
			conn := w.connectOver(network, c.listener)
			conn.send(c.send)
			if got := conn.orders(); got != c.want {
				t.Errorf("%s, listener %d, %q: client read %q, want %q", network, c.listener, c.send, got, c.want)
			}
			conn.over(0)
		}
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

func (w *worker) connectOver(network string, listener uint16) *rawConn {
	w.t.Helper()
	if network == "unix" {
		client, server := unixPair(w.t)
		return w.serve(listener, client, server)
	}
	return w.connect(listener)
}

// manyOrders sends more orders than are needed.
func (w *worker) manyOrders() {
	for range 20 {
		w.control.Write([]byte{shm.CtlEndInput})
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
}

// Input that the handler has not read is not lost.
func TestUnreadInputIsNotQuiet(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w := mustLoad(t, "quiet.lua", fifo).fork(0, small)
	c := w.connect(5)
	c.send("a line\n")
	w.manyOrders()
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the handler
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got, want := c.orders(), "bye a line nilbye nil the server is stopping"; got != want {
		t.Errorf("client read %q, want %q", got, want)
	}
	c.over(0)
}

// A connection that talks HTTP ends when the worker is told to end: the order does nothing to it, nor to the next connection.
func TestOrderWithoutQuietConnection(t *testing.T) {
	w := mustLoad(t, "quiet.lua").fork(0, small)
	c := w.browse(4)
	c.wants("hello", 200, "hello") // HTTP has begun: before that, a handler that waits for the processor looks quiet
	for range 3 {
		w.manyOrders()
		c.wants("hello", 200, "hello")
	}
	c.leaves()
	w.manyOrders()
	d := w.connect(0)
	d.send("hello\n")
	if line, err := bufio.NewReader(d.client).ReadString('\n'); line != "hello\n" {
		t.Errorf("client read %q, %v", line, err)
	}
	d.sendEnd("")
	d.expect("bye nil nil")
	d.over(0)
}
