package admin

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"
)

const (
	connsMax = 64 // further ones wait to be accepted
	// streamsMax bounds the pages that are open at a time; another one gets 503.
	streamsMax = 16
	// writeTimeout is how long a client may take to receive an answer.
	writeTimeout = 10 * time.Second
	// profileTimeout is the same for a profile, which takes as long as the client asks for.
	profileTimeout = 300 * time.Second
	// statusAge is how old a status may be that is given to several clients.
	statusAge = 200 * time.Millisecond
)

// Config is what a Server answers with. Its functions are called by several goroutines at once.
type Config struct {
	Log     *slog.Logger
	Metrics http.Handler
	Missing func() []string // what keeps the server from being ready: a line each
	Status  func() *Status  // without History
	History *History

	Token        []byte // of orders; nil: there are none
	Reload, Stop func()

	Pprof   bool
	AnyHost bool // requests may have any Host
}

// Server answers on an admin listener.
type Server struct {
	c       Config
	http    *http.Server
	mux     *http.ServeMux
	streams chan struct{}
	ending  chan struct{} // closed when the streams are to end

	mu sync.Mutex
	ln *limited

	statusMu sync.Mutex
	status   *Status // without the history
	taken    time.Time
}

// NewServer makes a server. Serve starts it.
func NewServer(c Config) *Server {
	s := &Server{c: c, mux: http.NewServeMux(), streams: make(chan struct{}, streamsMax), ending: make(chan struct{})}
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/status", http.StatusFound) })
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.Handle("GET /metrics", c.Metrics)
	s.mux.HandleFunc("GET /status", s.showStatus)
	s.mux.HandleFunc("GET /status/events", s.events)
	s.mux.HandleFunc("POST /reload", s.order("reload", c.Reload))
	s.mux.HandleFunc("POST /stop", s.order("stop", c.Stop))
	if c.Pprof {
		s.addProfiles()
	}
	return s
}

func (s *Server) addProfiles() {
	s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// Serve answers on ln until End is called. It returns at once.
func (s *Server) Serve(ln net.Listener) {
	limited := newLimited(ln)
	s.mu.Lock()
	s.ln = limited
	s.mu.Unlock()
	go func() {
		if err := s.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.c.Log.Error("admin listener has ended", "err", err)
		}
	}()
}

// End ends the server. Answers that are on their way get a moment.
func (s *Server) End() {
	close(s.ending)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// serve checks what holds for all requests.
func (s *Server) serve(w http.ResponseWriter, q *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	limit := writeTimeout
	if strings.HasPrefix(q.URL.Path, profiles) {
		limit = profileTimeout
	}
	c := http.NewResponseController(w)
	c.SetWriteDeadline(time.Now().Add(limit))
	if q.ContentLength != 0 { // it is not read, but the server of net/http waits for the end of it
		c.SetReadDeadline(time.Now().Add(writeTimeout))
	}
	if s.crowded() {
		h.Set("Connection", "close")
	}
	if !s.c.AnyHost && q.Host != "" && !knownHost(q.Host) {
		http.Error(w, "The admin listener answers to an IP address or localhost only: a page of a foreign site could have sent this.",
			http.StatusMisdirectedRequest)
		return
	}
	if foreignPage(q) {
		http.Error(w, "A page of another site has sent this.", http.StatusForbidden)
		return
	}
	s.mux.ServeHTTP(w, q)
}

// crowded reports whether so many connections are open that none is kept after its response: others wait for a place.
func (s *Server) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln != nil && len(s.ln.places)-1 > connsMax/2 // one is for the connection that comes next
}

// profiles is where the paths of profiles begin.
const profiles = "/debug/pprof/"

func (s *Server) health(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// ready answers 200 if the server can serve requests, otherwise 503 with what is missing.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if missing := s.c.Missing(); len(missing) > 0 {
		writeText(w, http.StatusServiceUnavailable, strings.Join(missing, "\n")+"\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

//go:embed page.html
var page string

// showStatus answers with the page, or with JSON.
func (s *Server) showStatus(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Vary", "Accept")
	if q.URL.Query().Get("format") != "json" && prefersHTML(q.Header.Get("Accept")) {
		s.showPage(w)
		return
	}
	st := *s.current()
	st.History = s.c.History.Samples()
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(&st)
}

// prefersHTML reports whether a browser asks, which names HTML before everything else.
func prefersHTML(accept string) bool {
	html, other := strings.Index(accept, "text/html"), strings.Index(accept, "application/json")
	return html >= 0 && (other < 0 || html < other)
}

func (s *Server) showPage(w http.ResponseWriter) {
	nonce := newNonce()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		nonce, nonce))
	h.Set("Referrer-Policy", "no-referrer")
	io.WriteString(w, strings.ReplaceAll(page, "{{nonce}}", nonce))
}

// current is the status, which must not be changed. Clients that ask at the same time get the same one: it is asked of the event loops.
func (s *Server) current() *Status {
	s.statusMu.Lock()
	defer s.statusMu.Unlock()
	if s.status == nil || time.Since(s.taken) >= statusAge {
		s.status, s.taken = s.c.Status(), time.Now()
	}
	return s.status
}
