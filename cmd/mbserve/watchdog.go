package main

import (
	"os"
	"strconv"
	"time"
)

// watchdogPeriod reads how often the service manager wants to hear of us, and removes that from the environment: it is not meant for
// child processes. 0: it does not.
func watchdogPeriod() time.Duration {
	usec, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	os.Unsetenv("WATCHDOG_USEC")
	os.Unsetenv("WATCHDOG_PID")
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Hour/time.Microsecond)*24 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// keepWatchdog tells the service manager that the server is alive, until stop is closed: twice in each period, if every event loop has
// answered meanwhile. If one does not, the manager ends the server when the period is over. Hanging workers do not matter: they have
// their own limits.
func (s *server) keepWatchdog(stop <-chan struct{}) {
	every := s.manager.watchdog / 2
	if every == 0 || s.manager.address == nil {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if s.loopsAnswer(every, stop) {
			s.notify(s.manager.send("WATCHDOG=1"))
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// loopsAnswer reports whether every event loop does what it is asked to within a time.
func (s *server) loopsAnswer(patience time.Duration, stop <-chan struct{}) bool {
	n := s.engine.Loops()
	answers := make(chan struct{}, n)
	for i := range n {
		s.engine.Loop(i).Post(func() { answers <- struct{}{} })
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for range n {
		select {
		case <-answers:
		case <-stop:
			return false
		case <-late.C:
			s.log.Error("an event loop does not answer: the service manager is not told that the server is alive", "patience", patience)
			return false
		}
	}
	return true
}
