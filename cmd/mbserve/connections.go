package main

import (
	"maps"

	"moonbridge/cmd/mbserve/admin"
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/engine"
)

// sumOf adds the figures of loops, as far as they are shown for all together.
func sumOf(loops []engine.LoopStats) (sum engine.LoopStats) {
	for _, l := range loops {
		sum.Accepted += l.Accepted
		sum.Limited += l.Limited
		sum.Penalized += l.Penalized
		sum.Handshakes += l.Handshakes
		sum.TLS12.Resumed += l.TLS12.Resumed
		sum.TLS13.Resumed += l.TLS13.Resumed
		h := &sum.HTTP2
		h.Conns += l.HTTP2.Conns
		h.Streams += l.HTTP2.Streams
		h.Accepted += l.HTTP2.Accepted
		h.Requests += l.HTTP2.Requests
		h.ResetsReceived += l.HTTP2.ResetsReceived
		h.ResetsSent += l.HTTP2.ResetsSent
	}
	return sum
}

// occurrences adds what was counted by cause, and leaves out what has not occurred.
func occurrences(by map[string]uint64) (n uint64, occurred map[string]uint64) {
	maps.DeleteFunc(by, func(_ string, one uint64) bool { return one == 0 })
	for _, one := range by {
		n += one
	}
	return n, by
}

// logConnections logs the statistics of connections, with those of TLS and HTTP/2 if there have been any.
func (s *server) logConnections() {
	sum := sumOf(s.engine.Stats())
	s.log.Info("connections", "accepted", sum.Accepted, "limited", sum.Limited, "penalized", sum.Penalized)
	if failures, _ := occurrences(s.engine.HandshakeFailures()); sum.Handshakes > 0 || failures > 0 {
		running, waiting := s.engine.Handshakes()
		s.log.Info("tls", "handshakes", sum.Handshakes, "resumed", sum.TLS12.Resumed+sum.TLS13.Resumed, "failed", failures,
			"running", running, "waiting", waiting)
	}
	if h := sum.HTTP2; h.Accepted > 0 {
		ended, _ := occurrences(s.engine.HTTP2Ends())
		s.log.Info("http2", "open", h.Conns, "accepted", h.Accepted, "streams", h.Streams, "requests", h.Requests,
			"resets_received", h.ResetsReceived, "resets_sent", h.ResetsSent, "ended", ended)
	}
}

// writeHandshakes writes what a loop has counted of TLS.
func writeHandshakes(w *metrics.Writer, l *engine.LoopStats, label string) {
	for _, v := range []struct {
		version string
		n       engine.HandshakeStats
	}{{"1.2", l.TLS12}, {"1.3", l.TLS13}} {
		w.Counters("moonbridge_tls_handshakes_total", "TLS handshakes that were completed.", "resumed",
			map[string]uint64{"no": v.n.Full, "yes": v.n.Resumed}, "loop", label, "version", v.version)
	}
}

// writeHTTP2 writes what a loop has counted of HTTP/2.
func writeHTTP2(w *metrics.Writer, h *engine.HTTP2Stats, label string) {
	w.Gauge("moonbridge_http2_connections", "Connections with HTTP/2. They are among moonbridge_connections.", float64(h.Conns), "loop", label)
	w.Gauge("moonbridge_http2_streams", "Open streams: requests in progress, and WebSockets.", float64(h.Streams), "loop", label)
	w.Counter("moonbridge_http2_connections_total", "Connections that have begun to speak HTTP/2.", float64(h.Accepted), "loop", label)
	w.Counter("moonbridge_http2_requests_total", "Requests over HTTP/2 whose heads were complete.", float64(h.Requests), "loop", label)
	w.Counters("moonbridge_http2_resets_total", "RST_STREAM frames, from clients and to them.", "direction",
		map[string]uint64{"received": h.ResetsReceived, "sent": h.ResetsSent}, "loop", label)
}

// addConnections adds what the status page shows of TLS and HTTP/2, once there has been any.
func (a *adminSide) addConnections(st *admin.Status, loops []engine.LoopStats) {
	e, sum := a.s.engine, sumOf(loops)
	if n, failures := occurrences(e.HandshakeFailures()); sum.Handshakes > 0 || n > 0 {
		st.TLS = &admin.TLS{Handshakes: sum.Handshakes, Resumed: sum.TLS12.Resumed + sum.TLS13.Resumed, Failed: failures}
		running, waiting := e.Handshakes()
		st.TLS.Running, st.TLS.Waiting = int64(running), int64(waiting)
	}
	if h := sum.HTTP2; h.Accepted > 0 {
		_, ended := occurrences(e.HTTP2Ends())
		st.HTTP2 = &admin.HTTP2{
			Open: int64(h.Conns), Accepted: h.Accepted, Streams: int64(h.Streams), Requests: h.Requests,
			ResetsReceived: h.ResetsReceived, ResetsSent: h.ResetsSent, Ended: ended,
		}
	}
}
