// Command chi serves an application that is written for net/http, with the router chi and its middleware, on
// Moonbridge's engine. Only main knows about the engine: the rest works with any server for net/http.
//
//	cd examples/go/libraries && go run ./chi    # then: curl -i -d 'Go to the moon' http://127.0.0.1:8081/notes
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"moonbridge/engine"
	"moonbridge/handler"
)

const noteBytesMax = 16 << 10
const notesMax = 100

// notes is the application: texts with numbers, from 1.
type notes struct {
	mu    sync.Mutex // held only to add or copy notes
	texts []string
}

func (n *notes) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer) // a panic is answered with 500; the engine would do that as well
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Notes are at /notes.\n") })
	r.Get("/notes", n.list)
	r.Post("/notes", n.add)
	r.Get("/notes/{number}", n.show)
	return r
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	texts := n.all()
	// all has unlocked mu: with other servers Encode may wait for a slow client.
	json.NewEncoder(w).Encode(texts)
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	// A limit of its own: add works with any server.
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, noteBytesMax))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		http.Error(w, "the note is too long", http.StatusRequestEntityTooLarge)
	} else if err != nil {
		http.Error(w, "the note is incomplete", http.StatusBadRequest)
	} else if number := n.keep(string(text)); number == 0 {
		http.Error(w, "there are too many notes", http.StatusInsufficientStorage)
	} else {
		w.Header().Set("Location", "/notes/"+strconv.Itoa(number))
		w.WriteHeader(http.StatusCreated)
	}
}

func (n *notes) show(w http.ResponseWriter, r *http.Request) {
	texts := n.all()
	i, err := strconv.Atoi(chi.URLParam(r, "number"))
	if err != nil || i < 1 || i > len(texts) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // otherwise what looks like HTML would be sent as HTML
	io.WriteString(w, texts[i-1])
}

// keep keeps a note and returns its number, or 0 if there are too many.
func (n *notes) keep(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) == notesMax {
		return 0
	}
	n.texts = append(n.texts, text)
	return len(n.texts)
}

// all returns a copy, never nil: a nil slice would be null in JSON.
func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.texts...)
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	// At most 100 requests run at a time, and 1024 wait. More get 503 at once, as do those that have waited for 10 s.
	b := handler.Blocking(handler.HTTP(new(notes).routes()), 100)
	// Slow clients occupy no handlers: a body is at most 64 KiB, which the engine reads before it calls the handler (the
	// default of Limits.BufferBody), and up to 16 MiB of a response wait in a file until the client has taken them.
	ln, err := e.ServeTCP(*address, b, engine.Limits{BodyBytes: 64 << 10, SpoolOutput: 16 << 20})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
