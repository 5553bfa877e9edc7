package main

import (
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/websocket"
)

// logWebSockets logs the statistics of WebSockets, if there have been any.
func (s *server) logWebSockets() {
	st := s.websockets.Stats()
	if st.Accepted == 0 && st.Refused == 0 {
		return
	}
	fields := []any{"open", st.Open, "accepted", st.Accepted, "refused", st.Refused, "in", st.In, "out", st.Out, "waiting", st.Waiting, "bytes", st.Bytes}
	for cause, n := range st.Closed {
		if n > 0 {
			fields = append(fields, "closed_"+websocket.Causes[cause], n)
		}
	}
	s.log.Info("websockets", fields...)
}

func (a *adminSide) writeWebSockets(w *metrics.Writer) {
	st := a.s.websockets.Stats()
	w.Gauge("moonbridge_websockets", "Open WebSockets.", float64(st.Open))
	w.Counter("moonbridge_websockets_accepted_total", "Connections that have become WebSockets.", float64(st.Accepted))
	w.Counter("moonbridge_websockets_refused_total", "Requests that did not become WebSockets although the script wanted it.", float64(st.Refused))
	for cause, n := range st.Closed {
		w.Counter("moonbridge_websockets_closed_total", "WebSockets that have ended, by cause.", float64(n), "cause", websocket.Causes[cause])
	}
	w.Counters("moonbridge_websocket_messages_total", "Messages, by direction. Those of channels count.", "direction",
		map[string]uint64{"in": st.In, "out": st.Out})
	w.Gauge("moonbridge_websocket_events_waiting", "Events of WebSockets that wait for room in their pool.", float64(st.Waiting))
	w.Gauge("moonbridge_websocket_message_bytes", "Memory of messages that wait for a worker, or have arrived in part.", float64(st.Bytes))
}
