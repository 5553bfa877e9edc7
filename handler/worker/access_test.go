package worker

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unsafe"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/shm"
)

// logged is a message about a request on a raw connection.
func (w *worker) logged() (m shm.MsgAccessBody, target string) {
	w.t.Helper()
	var body []byte
	select {
	case body = <-w.accesses:
	case <-time.After(patience):
	}
	if len(body) < int(unsafe.Sizeof(m)) {
		w.t.Fatalf("%d bytes; want a record of a request\nstderr: %s", len(body), w.stderr)
	}
	n := copy(shm.Bytes(&m), body)
	return m, string(body[n:][m.Ends[accesslog.PartMethod]:m.Ends[accesslog.PartTarget]])
}

// A worker does not wait for a server that does not read its reports about requests. Reports that could not be sent are counted.
func TestAccessIsNeverWaitedFor(t *testing.T) {
	w := rawHTTPWorker(t)
	client, server := tcpPair(t, "tcp4", "127.0.0.1:0")
	c := w.serveRaw(request{logged: true}, client, server)
	r := bufio.NewReader(client)
	ask := func(target string) {
		t.Helper()
		fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v\nstderr: %s", resp, err, w.stderr)
		}
		io.Copy(io.Discard, resp.Body)
	}
	const many = 2000 // more than a control socket holds
	long := "/hello?" + strings.Repeat("y", accesslog.TargetMax)
	for range many {
		ask(long)
	}
	for heard, lost := 0, 0; ; heard++ {
		m, target := w.logged()
		lost += int(m.Lost)
		if target == "/hello" {
			if heard+lost != many || lost == 0 {
				t.Errorf("%d of %d requests reported, %d said to be lost", heard, many, lost)
			}
			break
		}
		if target != long[:accesslog.TargetMax] || m.Status != 200 || m.Bytes != 5 || m.Complete != 1 ||
			m.Minor != 1 || m.Service > m.Total {
			t.Fatalf("%+v, %.50q", m, target)
		}
		if heard == 10 {
			ask("/hello") // there is room now
		}
	}
	c.client.Close()
	c.over(0)
}

// Without an access log nothing is said.
func TestAccessOnlyIfLogged(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.wants("hello", 200, "hello")
	c.leaves()
	w.quit()
	w.stderr.all(t) // does not end while a record waits
}
