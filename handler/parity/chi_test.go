package parity

import (
	"fmt"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// newChi is a router of chi, with some of its middleware.
func newChi() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes, middleware.Recoverer, middleware.GetHead)
	r.Route("/chi", func(r chi.Router) {
		r.Get("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
		r.Get("/item/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, chi.URLParam(r, "id")) })
		r.Post("/item", func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			w.WriteHeader(201)
			fmt.Fprintf(w, "%s %v", body, err)
		})
		r.Get("/panic", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
		r.With(middleware.Compress(5)).Get("/compressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "hello")
		})
		r.With(middleware.NoCache).Get("/no-cache", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
		r.With(middleware.BasicAuth("r", map[string]string{"u": "p"})).Get("/private", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
		r.With(middleware.AllowContentType("application/json")).Post("/json", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
		r.With(middleware.RequestSize(3)).Post("/small", func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			fmt.Fprint(w, err)
		})
		r.With(middleware.Throttle(1)).Get("/throttled", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
		r.Get("/flush", func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			io.WriteString(ww, "a")
			ww.(http.Flusher).Flush()
			io.WriteString(ww, fmt.Sprint(ww.Status(), ww.BytesWritten()))
		})
		r.Get("/hijack", func(w http.ResponseWriter, r *http.Request) {
			c, _ := hijack(middleware.NewWrapResponseWriter(w, r.ProtoMajor))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
			c.Close()
		})
	})
	return r
}
