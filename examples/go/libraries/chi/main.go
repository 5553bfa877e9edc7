// Command chi serves an application that is written for net/http, with the router chi and its middleware, on
// Moonbridge's engine. Only main knows about the engine: the rest works with any server for net/http.
//
//	cd examples/go/libraries && go run ./chi
//	curl -i -d 'Go to the moon' http://127.0.0.1:8081/notes
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"moonbridge/engine"
	"moonbridge/handler"
)

const noteMax = 16 << 10 // bytes

// notes is the application: a list of texts, numbered from 1.
type notes struct {
	mu    sync.Mutex
	texts []string
}

func (n *notes) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.NoCache) // an example of middleware
	r.Get("/notes", n.list)
	r.Post("/notes", n.add)
	r.Get("/notes/{number}", n.show)
	return r
}

// all returns a copy, so that mu is not held while the response is written.
func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.texts)
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(n.all())
}

func (n *notes) show(w http.ResponseWriter, r *http.Request) {
	texts := n.all()
	number, err := strconv.Atoi(chi.URLParam(r, "number"))
	if err != nil || number < 1 || number > len(texts) {
		http.NotFound(w, r)
		return
	}
	// Without this, a text that looks like HTML would be served as HTML.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, texts[number-1])
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	// The engine has received the whole body and checked its length (see main). With other servers, this does it.
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, noteMax))
	if err != nil { // too long, or broken off
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	number, kept := n.keep(string(text))
	if !kept {
		http.Error(w, "there are too many notes", http.StatusInsufficientStorage)
		return
	}
	w.Header().Set("Location", "/notes/"+strconv.Itoa(number))
	w.WriteHeader(http.StatusCreated)
}

// keep returns the number of the new note. There are at most 100.
func (n *notes) keep(text string) (number int, kept bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) == 100 {
		return 0, false
	}
	n.texts = append(n.texts, text)
	return len(n.texts), true
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	application := &notes{texts: []string{}} // nil would be null in JSON
	// At most 100 requests run at a time (see example hello).
	b := handler.Blocking(handler.HTTP(application.routes()), 100)
	// A body of more than 16 KiB gets 413. With SpoolBody, a request begins to count as one of the 100 only when its whole
	// body is there, so slow uploads do not keep others out.
	ln, err := e.ServeTCP(*address, b, engine.Limits{BodyBytes: noteMax, SpoolBody: true})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	check(e.ShutdownOnSignal(10 * time.Second)) // see example hello
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
