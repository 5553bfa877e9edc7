package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"

	"moonbridge/engine"
)

// loopPatience is how long the loops are waited for. Figures that are asked for while a loop is busy for longer are those of the last
// time.
const loopPatience = 20 * time.Millisecond

// loopFigures asks the loops for their figures.
type loopFigures struct {
	mu     sync.Mutex
	asking chan struct{} // closed when the answer is there; nil: nothing is asked
	last   []engine.LoopStats
}

// of returns the figures of the loops. One question is under way at a time, however many ask.
func (f *loopFigures) of(e *engine.Engine) []engine.LoopStats {
	f.mu.Lock()
	asking := f.asking
	if asking == nil {
		asking = make(chan struct{})
		f.asking = asking
		go f.ask(e, asking)
	}
	f.mu.Unlock()
	select {
	case <-asking:
	case <-time.After(loopPatience):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (f *loopFigures) ask(e *engine.Engine, done chan struct{}) {
	stats := e.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.asking = stats, nil
	close(done)
}

// memoryAge is how old the memory figures may be. The system computes them, which takes about a millisecond for each worker.
const memoryAge = 15 * time.Second

// memoryFigures are the memory of the workers, by pool: their PSS, which divides what processes share among them.
type memoryFigures struct {
	mu      sync.Mutex
	taken   time.Time
	running bool
	by      map[int]int64
}

// of returns the last figures. If they are old, newer ones are made meanwhile.
func (m *memoryFigures) of(pools []*poolFigures) map[int]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running && time.Since(m.taken) > memoryAge {
		m.running = true
		go m.measure(pools)
	}
	return m.by
}

func (m *memoryFigures) measure(pools []*poolFigures) {
	by := make(map[int]int64, len(pools))
	for _, p := range pools {
		for _, w := range p.workers {
			by[p.index] += proportionalMemory(w.PID)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.by, m.taken, m.running = by, time.Now(), false
}

// proportionalMemory is the PSS of a process in bytes; 0: unknown.
func proportionalMemory(pid int) int64 {
	if pid == 0 {
		return 0
	}
	return fieldOf("/proc/"+strconv.Itoa(pid)+"/smaps_rollup", "Pss:") << 10
}

// fieldOf returns the number after a word in a file of /proc; 0: there is none.
func fieldOf(name, word string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) > 1 && string(fields[0]) == word {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n
		}
	}
	return 0
}
