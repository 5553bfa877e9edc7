// Command chi serves an application that is written for net/http, with the router chi and its middleware, on Moonbridge's engine.
// Only main knows about the engine: the rest works with any server for net/http.
//
//	cd examples/go/libraries && go run ./chi    # then: curl -i -d 'Go to the moon' http://127.0.0.1:8081/notes
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"moonbridge/engine"
	"moonbridge/handler"
)

const (
	noteBytesMax = 16 << 10
	notesMax     = 1000
)

// notes is the application: texts with numbers.
type notes struct {
	mu    sync.Mutex
	texts []string
}

func (n *notes) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, middleware.Timeout(10*time.Second))
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Notes are at /notes.\n") })
	r.Route("/notes", func(r chi.Router) {
		r.Get("/", n.list)
		r.Post("/", n.add)
		r.Get("/{number}", n.show)
	})
	return r
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(n.texts)
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, noteBytesMax))
	if err != nil {
		http.Error(w, "the note is too long", http.StatusRequestEntityTooLarge)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) == notesMax {
		http.Error(w, "there are too many notes", http.StatusInsufficientStorage)
		return
	}
	n.texts = append(n.texts, string(text))
	w.Header().Set("Location", "/notes/"+strconv.Itoa(len(n.texts)))
	w.WriteHeader(http.StatusCreated)
}

func (n *notes) show(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, err := strconv.Atoi(chi.URLParam(r, "number"))
	if err != nil || i < 1 || i > len(n.texts) {
		http.NotFound(w, r)
		return
	}
	io.WriteString(w, n.texts[i-1])
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	// At most 1000 handlers run at a time. Other requests wait for up to 10 seconds, then get 503.
	h := handler.Blocking(handler.HTTP(new(notes).routes()), 1000)
	check(e.Serve(ln, h, 0, engine.Limits{}))
	log.Printf("http://%s/", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // a second signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(e.Shutdown(grace))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
