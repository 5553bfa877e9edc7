package worker

import (
	"bufio"
	"testing"

	"golang.org/x/sys/unix"
)

// A server that reads nothing more of a worker's control socket does not hold up a handler that asks something there.
func TestQuestionUnheard(t *testing.T) {
	w := rawHTTPWorker(t)
	client, server := tcpPair(t, "tcp4", "127.0.0.1:0")
	raw := w.serveRaw(request{logged: true}, client, server)
	c := &httpClient{raw, bufio.NewReader(client)}
	for range 3000 { // their reports are more than the socket holds, and nobody takes them
		c.wants("hello", 200, "hello")
	}
	c.wants("count", 200, "nil the server does not answer")
	c.wants("purge", 200, "nil the server does not answer")
	c.leaves()
}

// A question that cannot be asked fails with the cause.
func TestQuestionWithoutDescriptors(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, small)
	if err := unix.Prlimit(w.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}, nil); err != nil {
		t.Fatal(err)
	}
	w.wantBody(w.get("/count"), "count", "nil Too many open files")
}
