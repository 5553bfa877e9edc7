package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stopped records what clients see of a server that is told to stop in the middle of their requests.
type stopped struct {
	t   *testing.T
	at  atomic.Int64 // time right before the signal was sent, in nanoseconds; 0: not yet
	all sync.WaitGroup

	answered, late, refused atomic.Int64
}

// exchange makes a request. over is true if the server has ended the connection or announced that it will.
func (s *stopped) exchange(c net.Conn, r *bufio.Reader, request string) (over bool) {
	c.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c, request)
	sent := time.Now().UnixNano()
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(r, nil); err == nil {
			body, errBody := io.ReadAll(resp.Body)
			if _, err := readTold(string(body)); errBody != nil || err != nil || resp.StatusCode != 200 {
				s.t.Errorf("an answer is wrong: %s, %q, %v", resp.Status, body, errBody)
			}
			s.answered.Add(1)
			return resp.Close
		}
	}
	// A request sent before the signal must be answered. A later one is not accepted, and no byte of an answer arrives.
	if at := s.at.Load(); at == 0 || sent < at {
		s.t.Errorf("a request that was sent %v before the signal: %v", time.Duration(at-sent), err)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		s.t.Errorf("%v", err)
	}
	s.late.Add(1)
	return true
}

// client makes one request after another, on a persistent connection or on a new one for each.
func (s *stopped) client(address string, i int, persistent bool) {
	body := strings.Repeat("b", i%3*5000)
	for n := 0; ; n++ {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			if s.at.Load() == 0 || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				s.t.Errorf("%v", err)
			}
			s.refused.Add(1)
			return
		}
		r := bufio.NewReader(c)
		request := func(connection string) string {
			return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s", connection, len(body), body)
		}
		if persistent {
			for !s.exchange(c, r, request("keep-alive")) {
			}
		} else {
			s.exchange(c, r, request("close"))
		}
		c.Close()
	}
}

// TERM under load: every request sent before is answered, as many as handlers have run; new connections are refused at
// once, and the server exits well within the grace time.
func TestStopUnderLoad(t *testing.T) {
	for round := range 3 {
		s := start(t, "-s", "--grace", "30s", "testdata/state.lua")
		clients := &stopped{t: t}
		for i := range 64 {
			clients.all.Go(func() { clients.client(s.address(0), i, i%4 != 0) })
		}
		eventually(t, "enough requests are answered", func() bool { return clients.answered.Load() > 200 })
		time.Sleep(time.Duration(round) * 7 * time.Millisecond)
		began := time.Now()
		clients.at.Store(began.UnixNano())
		s.signal(syscall.SIGTERM)
		s.wait("msg=stopping")
		eventually(t, "new connections are refused", func() bool { return refuses(s.address(0)) })
		refusing := time.Since(began)
		clients.all.Wait()
		s.exit(0)
		exchanges := field(s.wait("msg=stats"), "exchanges")
		t.Logf("%d answered, %d too late, %d connections refused; refusing after %v, ended after %v", clients.answered.Load(),
			clients.late.Load(), clients.refused.Load(), refusing, time.Since(began))
		if got := clients.answered.Load(); exchanges != fmt.Sprint(got) {
			t.Errorf("%d requests were answered, of %s that were accepted", got, exchanges)
		}
		for _, bad := range []string{"worker ended", "workers were killed", "level=ERROR"} {
			if strings.Contains(s.log.String(), bad) {
				t.Errorf("the log has %q", bad)
			}
		}
	}
}
