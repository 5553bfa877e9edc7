package main

import "time"

// awaitDrain serves on for the time of --drain-delay, although the server is to stop and is not ready any more. Load balancers need that
// time to notice, and would send requests to a closed port otherwise. false: a second signal asks for an end at once.
func (s *server) awaitDrain() bool {
	if s.o.drainDelay == 0 {
		return true
	}
	s.log.Info("not ready any more: serving on before the stop", "drain_delay", s.o.drainDelay, "connections", s.engine.Conns())
	over := time.NewTimer(s.o.drainDelay)
	defer over.Stop()
	for {
		select {
		case <-over.C:
			return true
		case sig := <-s.signals:
			if s.hurries(sig) {
				return false
			}
		}
	}
}
