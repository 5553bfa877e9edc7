package main

import (
	"fmt"
	"sync"
	"testing"
)

// told is the parsed answer of state.lua.
type told struct {
	pid    int
	secret string
	count  int
}

func readTold(body string) (w told, err error) {
	_, err = fmt.Sscanf(body, "%d %s %d", &w.pid, &w.secret, &w.count)
	return w, err
}

// The script runs once: its random secret is the same in all workers. What a handler changes stays in its worker.
func TestWorkersShareTheScriptAndNothingElse(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/state.lua")
	eventually(t, "four workers", func() bool { return len(s.workers()) >= 4 })
	const clients, each = 16, 50
	var mu sync.Mutex
	secrets, counts := map[string]int{}, map[int]map[int]bool{}
	var all sync.WaitGroup
	for range clients {
		p := dial(t, s.address(0))
		all.Go(func() {
			for range each {
				status, body, err := p.ask("/")
				w, errTold := readTold(body)
				if err != nil || errTold != nil || status != 200 {
					t.Errorf("status %d, body %q, %v, %v", status, body, err, errTold)
					return
				}
				mu.Lock()
				secrets[w.secret]++
				if counts[w.pid] == nil {
					counts[w.pid] = map[int]bool{}
				}
				if counts[w.pid][w.count] {
					t.Errorf("worker %d reached the count %d twice", w.pid, w.count)
				}
				counts[w.pid][w.count] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(secrets) != 1 {
		t.Errorf("secrets %v, want one", secrets)
	}
	if len(counts) < 4 {
		t.Errorf("%d workers have answered, want at least 4", len(counts))
	}
	for pid, seen := range counts {
		for i := 1; i <= len(seen); i++ {
			if !seen[i] {
				t.Errorf("worker %d counts on its own, but %d of %d is missing", pid, i, len(seen))
			}
		}
	}
}
