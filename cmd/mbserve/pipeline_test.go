package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pipelined are 16 requests, of which the first one waits.
func pipelined() string {
	all := "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"
	for i := 1; i < 16; i++ {
		all += fmt.Sprintf("GET /p%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
	}
	return all
}

// hearsPipelined expects the responses to pipelined, in their order.
func (p *peer) hearsPipelined() {
	p.t.Helper()
	for i := range 16 {
		want := fmt.Sprint("p", i)
		if i == 0 {
			want = "wait"
		}
		if got := p.hears(200); got != want {
			p.t.Errorf("response %d is %q, want %q", i, got, want)
		}
	}
}

// waitServed waits until all but the first of the requests have been served.
func (s *instance) waitServed() {
	s.t.Helper()
	for i := 1; i < 16; i++ {
		s.wait(fmt.Sprintf("msg=%q", fmt.Sprint("served p", i)))
	}
}

// Pipelined requests are served together by several workers. Their responses have the order of the requests.
func TestPipelineOutOfOrder(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	log := filepath.Join(t.TempDir(), "access")
	s := start(t, "--access-log", log, "--access-format", "json", "testdata/pipeline.lua", fifo)
	p := dial(t, s.address(0))
	p.say("%s", pipelined())
	s.wait("msg=waiting")
	s.waitServed() // the first one still waits
	open()
	p.hearsPipelined()
	for i, line := range fileLines(t, log, 16) {
		e := parseEntry(t, line)
		if target := fmt.Sprint("/p", i); i > 0 && e.Target != target || e.Status != 200 || !e.Complete || e.Total < *e.Service {
			t.Errorf("line %d of the access log: %s", i, line)
		}
	}
}

// A client that sends everything in single bytes, and half-closes the connection then, gets the same.
func TestPipelineInPieces(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/pipeline.lua", fifo)
	p := dial(t, s.address(0))
	for _, b := range []byte(pipelined()) {
		p.say("%c", b)
	}
	p.Conn.(interface{ CloseWrite() error }).CloseWrite()
	s.waitServed()
	open()
	p.hearsPipelined()
	p.hearsEnd()
}

// Workers that are killed in the middle lose no pipelined request.
func TestPipelineWorkerKilled(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/pipeline.lua", fifo)
	p := dial(t, s.address(0))
	p.say("%s", pipelined())
	pid := number(t, field(s.wait("msg=waiting"), "pid"))
	s.waitServed()
	from := s.log.size()
	kill(t, pid)
	s.log.wait(t, from, "msg=waiting")
	open()
	p.hearsPipelined()
}

// A client that reads nothing occupies no worker.
func TestPipelineSlowReader(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/pipeline.lua", fifo)
	p := dial(t, s.address(0))
	const size, requests = 3_000_000, 16
	p.say("%s", strings.Repeat(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", size), requests))
	eventually(t, "all are served", func() bool { return s.count(fmt.Sprintf("served %d", size)) == requests })
	for range requests {
		if n := len(p.hears(200)); n != size {
			t.Errorf("%d bytes, want %d", n, size)
		}
	}
}

// What is in progress at TERM is answered, and when the script is loaded again, by the generation that has it.
func TestPipelineStopAndReload(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/pipeline.lua", fifo)
	p, q := dial(t, s.address(0)), dial(t, s.address(0))
	p.say("%s", pipelined())
	s.waitServed()
	s.mustReload()
	from := s.log.size()
	q.say("%s", pipelined())
	s.log.wait(t, from, `msg="served p15"`)
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	eventually(t, "both are released", func() bool { openFIFO(fifo); return s.count(`msg="served wait"`) == 2 })
	p.hearsPipelined()
	q.hearsPipelined()
	s.exit(0)
}

// A pipeline that would fill the queue waits instead: none of its requests is refused.
func TestPipelineAndQueueLimit(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/pipeline_queue.lua")
	p := dial(t, s.address(0))
	const requests = 200
	p.say("%s", strings.Repeat("GET /p HTTP/1.1\r\nHost: h\r\n\r\n", requests))
	for range requests {
		p.hears(200)
	}
}
