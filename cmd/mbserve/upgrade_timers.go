package main

import (
	"encoding/gob"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"moonbridge/handler/pool"
)

// A process that takes over must not begin a tick of a timer while the old process is running one of it. The old process
// therefore reports through a pipe when the next ticks are due and which ones are running, and later that these have ended.
// The end of the pipe means that the old process has ended, in whatever way.

const (
	// orphanTime is how long the workers of an old process that was killed may take to notice that.
	orphanTime = time.Second
	// handoverMargin is how much longer than the grace time an old process may take to end.
	handoverMargin = 10 * time.Second
)

// timerReport is a message of the pipe.
type timerReport struct {
	State pool.TimerState
	Known bool // every timer has been reported
}

// timerReports is the sending end of the pipe. It never blocks those who report.
type timerReports struct {
	to *os.File

	mu    sync.Mutex
	more  *sync.Cond
	queue []timerReport
}

// handOverTimers ends the timers of this process, and reports about them to the new one.
func handOverTimers(in *pool.Intervals, to *os.File) {
	r := &timerReports{to: to}
	r.more = sync.NewCond(&r.mu)
	in.HandOver(func(s pool.TimerState) { r.add(timerReport{State: s}) })
	r.add(timerReport{Known: true})
	go r.send()
}

func (r *timerReports) add(m timerReport) {
	r.mu.Lock()
	r.queue = append(r.queue, m)
	r.mu.Unlock()
	r.more.Signal()
}

// send passes the reports on until the new process has ended.
func (r *timerReports) send() {
	defer r.to.Close()
	e := gob.NewEncoder(r.to)
	for {
		r.mu.Lock()
		for len(r.queue) == 0 {
			r.more.Wait()
		}
		queue := r.queue
		r.queue = nil
		r.mu.Unlock()
		for _, m := range queue {
			if e.Encode(m) != nil {
				return
			}
		}
	}
}

// followTimers hears the old process out. Only then are all timers of this process on their own.
func (s *server) followTimers(from *os.File) {
	defer close(s.predecessor)
	defer from.Close()
	from.SetReadDeadline(time.Now().Add(s.o.grace + handoverMargin))
	d := gob.NewDecoder(from)
	for {
		var m timerReport
		err := d.Decode(&m)
		switch {
		case err == nil && m.Known:
			s.intervals.Known()
		case err == nil:
			s.intervals.Hear(m.State)
		default:
			s.oldProcessGone(err)
			return
		}
	}
}

func (s *server) oldProcessGone(err error) {
	if s.intervals.Foreign() {
		if errors.Is(err, io.EOF) {
			time.Sleep(orphanTime)
		}
		s.log.Warn("takeover: the old process has not reported the end of its timers: they are no longer waited for", "err", err)
	}
	s.intervals.Gone()
}
