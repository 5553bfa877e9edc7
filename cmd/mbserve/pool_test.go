package main

import (
	"os"
	"strings"
	"testing"
)

// A pool grows with its load, up to max_fork, and shrinks again.
func TestPoolGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/grow.lua", fifo)
	s.wantWorkers(1)
	const most = 8
	var peers []*peer
	for range most + 2 {
		p := dial(t, s.address(0))
		p.get("/wait")
		peers = append(peers, p)
	}
	waiting := func() int { return strings.Count(s.log.String(), "msg=waiting") }
	eventually(t, "eight requests at the same time", func() bool { return waiting() == most })
	s.wantWorkers(most)
	f, err := os.OpenFile(fifo, os.O_RDWR, 0) // while it is open, no handler waits there
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range peers {
		p.hears(200)
	}
	s.wantWorkers(1)
	peers[0].get("/")
	peers[0].hears(200)
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as unplanned")
	}
}

// max_requests_per_fork replaces workers without affecting requests.
func TestWorkersAreRecycled(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/recycle.lua")
	served := map[string]int{}
	p := dial(t, s.address(0))
	eventually(t, "five workers", func() bool {
		p.get("/")
		served[p.hears(200)]++
		return len(served) >= 5
	})
	// A worker continues until its successor is ready, so the number is not a hard limit. It varies by a tenth.
	enough := 0
	for _, n := range served {
		if n >= 9 {
			enough++
		}
	}
	if enough < 2 { // two may have just started, one may never have been used again
		t.Errorf("requests by worker: %v", served)
	}
}
