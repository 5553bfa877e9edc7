package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// eventEvery is how often the page gets a new status.
const eventEvery = time.Second

// events is a stream of server-sent events: the history once, and then a status each second.
func (s *Server) events(w http.ResponseWriter, q *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		writeText(w, http.StatusServiceUnavailable, "too many pages are open\n")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if q.Method == http.MethodHead {
		return
	}
	history, err := json.Marshal(s.c.History.Samples())
	if err != nil || !send(w, "history", history) {
		return
	}
	tick := time.NewTicker(eventEvery)
	defer tick.Stop()
	for {
		status, err := json.Marshal(s.current())
		if err != nil || !send(w, "status", status) {
			return
		}
		select {
		case <-tick.C:
		case <-q.Context().Done():
			return
		case <-s.ending:
			return
		}
	}
}

// send sends an event. It reports whether the client took it in time.
func send(w http.ResponseWriter, name string, data []byte) bool {
	c := http.NewResponseController(w)
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	var b bytes.Buffer
	b.WriteString("event: " + name + "\ndata: ")
	b.Write(data) // JSON has no line ends
	b.WriteString("\n\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return false
	}
	return c.Flush() == nil
}
