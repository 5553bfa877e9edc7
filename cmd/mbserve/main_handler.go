package main

// A handler of proto = "main" runs once, for as long as the server is to run. Its end is a graceful stop of the server.

// mainEnd is the end of such a handler.
type mainEnd struct {
	pool   int
	name   string
	failed bool // with an error, or its worker has died
}

// mainEnded implements pool.Config.MainEnded. One end is enough: later ones find the server stopping.
func (s *server) mainEnded(pool int, name string, failed bool) {
	select {
	case s.mains <- mainEnd{pool, name, failed}:
	default:
	}
}

// stopAfterMain stops the server because a main handler has ended.
func (s *server) stopAfterMain(end mainEnd) {
	if end.failed {
		s.exit = exitRunning
		s.log.Error("main has failed: stopping", "pool", end.pool, "name", end.name)
	} else {
		s.log.Info("main has ended: stopping", "pool", end.pool, "name", end.name)
	}
	s.stopGracefully()
}
