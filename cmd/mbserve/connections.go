package main

import "moonbridge/engine"

// logConnections logs the statistics of connections.
func (s *server) logConnections() {
	var sum engine.LoopStats
	for _, l := range s.engine.Stats() {
		sum.Accepted += l.Accepted
		sum.Limited += l.Limited
	}
	s.log.Info("connections", "accepted", sum.Accepted, "limited", sum.Limited)
}
