package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newMux has a path for each thing that handlers do.
func newMux(w *world, dir string) *http.ServeMux {
	mux := http.NewServeMux()
	addProbe(mux)
	addResponses(mux)
	addRequests(mux)
	addStreams(mux, w)
	addFailures(mux, w)
	addHijacks(mux, w)
	addFiles(mux, dir)
	addProxies(mux, w)
	mux.Handle("/chi/", newChi())
	return mux
}

func addProbe(mux *http.ServeMux) {
	mux.HandleFunc("/probe", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299) })
}

// respond makes handlers that write text after a change of the fields.
func respond(text string, change func(h http.Header)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		change(w.Header())
		io.WriteString(w, text)
	}
}

func addResponses(mux *http.ServeMux) {
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for path, h := range map[string]http.HandlerFunc{
		"nothing":        func(http.ResponseWriter, *http.Request) {},
		"hello":          respond("hello\n", func(http.Header) {}),
		"html":           respond("<!DOCTYPE html><p>x", func(http.Header) {}),
		"png":            respond("\x89PNG\x0d\x0a\x1a\x0a....", func(http.Header) {}),
		"typed":          respond("{}", set("Content-Type", "application/json")),
		"untyped":        respond("x", func(h http.Header) { h["Content-Type"] = nil }),
		"encoded":        respond("x", set("Content-Encoding", "gzip")),
		"undated":        respond("x", func(h http.Header) { h["Date"] = nil }),
		"dated":          respond("x", set("Date", "Sun, 06 Nov 1994 08:49:37 GMT")),
		"closing":        respond("x", set("Connection", "close")),
		"keeping":        respond("x", set("Connection", "keep-alive")),
		"length":         respond("hello", set("Content-Length", "5")),
		"bad-length":     respond("hello", set("Content-Length", "five")),
		"identity":       respond("hello", set("Transfer-Encoding", "identity")),
		"chunked-itself": respond("hello", set("Transfer-Encoding", "chunked")),
		"line-ends":      respond("x", set("A", "b\r\nC: d")),
		"nul":            respond("x", set("A", "b\x00c")),
		"empty-field":    respond("x", set("A", "")),
		"bad-name":       respond("x", func(h http.Header) { h["Bad Name"] = []string{"x"} }),
		"two-fields":     respond("x", func(h http.Header) { h["A"] = []string{"1", "2"} }),
		"cookies": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		},
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else?where", 302) },
		"error":     func(w http.ResponseWriter, r *http.Request) { http.Error(w, "wrong", 418) },
		"not-found": http.NotFound,
		"late": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(201)
			w.Header().Set("Late", "1")
			w.WriteHeader(404)
			io.WriteString(w, "x")
		},
		"two-writes": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a"); io.WriteString(w, "b") },
		"large": func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			w.Write(bytes.Repeat([]byte("0123456789ghijkl"), n/16))
		},
		"large-length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "160000")
			for range 1000 {
				w.Write(bytes.Repeat([]byte("0123456789ghijkl"), 10))
			}
		},
		"too-much": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
			_, err := io.WriteString(w, "!")
			w.Header().Set("Late", fmt.Sprint(err))
		},
		"too-little": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "hello")
		},
		"status": func(w http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.URL.Query().Get("s"))
			w.WriteHeader(status)
		},
		"status-body": func(w http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.URL.Query().Get("s"))
			w.WriteHeader(status)
			io.WriteString(w, "x")
		},
		"typed-304": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "5")
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		},
		"upgrade-required": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upgrade", "TLS/1.0")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(426)
			io.WriteString(w, "x")
		},
		"length-204": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(204)
		},
	} {
		mux.HandleFunc("/"+path, h)
	}
}

// dump writes what a handler sees of a request.
func dump(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %s %q %q\n", r.Method, r.RequestURI, r.Proto, r.Host, r.URL)
	fmt.Fprintf(&b, "%d %v %v %v\n", r.ContentLength, r.TransferEncoding, r.Close, r.Body == http.NoBody)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s: %q\n", name, r.Header[name])
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	fmt.Fprintln(&b, r.Trailer, r.RemoteAddr, local, server != nil)
	io.WriteString(w, b.String())
}

func addRequests(mux *http.ServeMux) {
	mux.HandleFunc("/dump", dump)
	mux.HandleFunc("/dump/", dump)
	mux.HandleFunc("GET /item/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "item %q", r.PathValue("id")) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", body, err, r.Trailer)
	})
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("/unread", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "enough") })
	mux.HandleFunc("/unread-403", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 403) })
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 3))
		io.WriteString(w, "enough")
	})
	mux.HandleFunc("/closed-body", func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, err != nil)
	})
	mux.HandleFunc("/limited", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3))
		var tooLarge *http.MaxBytesError
		fmt.Fprint(w, err, errors.As(err, &tooLarge))
	})
	mux.Handle("/limited-handler", http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	}), 3))
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.FormValue("a"), r.PostFormValue("b")) })
	mux.HandleFunc("/multipart", func(w http.ResponseWriter, r *http.Request) {
		f, h, err := r.FormFile("f")
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		data, _ := io.ReadAll(f)
		fmt.Fprintf(w, "%s %q %q", h.Filename, data, r.FormValue("v"))
	})
	mux.HandleFunc("/read-after-write", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "first ")
		http.NewResponseController(w).Flush()
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	mux.HandleFunc("/read-late", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		http.NewResponseController(w).Flush()
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	mux.HandleFunc("/read-deadline", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
	})
}

func addStreams(mux *http.ServeMux, world *world) {
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for _, s := range []string{"a", "bc"} {
			io.WriteString(w, s)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/flush-empty", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() })
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			if i < 2 {
				world.wait()
			}
		}
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("B", "1")
		io.WriteString(w, "x")
	})
	mux.HandleFunc("/hints-twice", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Add("Link", "</b>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(204)
	})
	mux.HandleFunc("/processing", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(102); io.WriteString(w, "x") })
	mux.HandleFunc("/hints-late", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.WriteHeader(103)
	})
	mux.HandleFunc("/continue-itself", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	mux.HandleFunc("/hints-then-read", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		world.wait()
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A, b")
		w.Header().Add("Trailer", "C")
		io.WriteString(w, "x")
		w.Header().Set("A", "1")
		w.Header().Set("B", "2")
	})
	mux.HandleFunc("/trailers-flushed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		w.(http.Flusher).Flush()
		io.WriteString(w, "x")
		w.Header().Set("A", "1")
		w.Header().Set("Not-Announced", "2")
	})
	mux.HandleFunc("/trailer-prefix", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "x")
		w.Header().Set(http.TrailerPrefix+"A", "1")
	})
	mux.HandleFunc("/trailer-prefix-short", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.Header().Set(http.TrailerPrefix+"A", "1")
	})
	mux.HandleFunc("/trailers-length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("Content-Length", "1")
		io.WriteString(w, "x")
		w.Header().Set("A", "1")
	})
	mux.HandleFunc("/write-deadline", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
		io.WriteString(w, "x")
		http.NewResponseController(w).Flush()
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		world.note(r.Context().Err().Error())
	})
	mux.HandleFunc("/gone-silent", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		world.note(r.Context().Err().Error())
		io.WriteString(w, "x")
	})
	mux.HandleFunc("/gone-notice", func(w http.ResponseWriter, r *http.Request) {
		gone := w.(http.CloseNotifier).CloseNotify()
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		world.note(fmt.Sprint(<-gone))
	})
	mux.HandleFunc("/stays", func(w http.ResponseWriter, r *http.Request) {
		gone := w.(http.CloseNotifier).CloseNotify()
		io.WriteString(w, "x")
		select {
		case <-gone:
			world.note("gone")
		default:
			world.note("here")
		}
	})
	mux.HandleFunc("/interfaces", func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, notifier := w.(http.CloseNotifier)
		_, reader := w.(io.ReaderFrom)
		_, stringer := w.(io.StringWriter)
		_, pusher := w.(http.Pusher)
		_, errors := w.(interface{ FlushError() error })
		_, reads := w.(interface{ SetReadDeadline(time.Time) error })
		_, writes := w.(interface{ SetWriteDeadline(time.Time) error })
		_, duplex := w.(interface{ EnableFullDuplex() error })
		fmt.Fprintln(w, flusher, hijacker, notifier, reader, stringer, pusher, errors, reads, writes, duplex)
	})
	mux.Handle("/timeout", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		_, err := io.WriteString(w, "x")
		world.note(fmt.Sprint(r.Context().Err() == context.DeadlineExceeded, err != nil))
	}), time.Millisecond, "too slow"))
	mux.Handle("/no-timeout", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("A", "1")
		io.WriteString(w, "x")
	}), time.Hour, "too slow"))
	mux.HandleFunc("/after", func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() {
			<-r.Context().Done()
			world.note(r.Context().Err().Error())
			close(done)
		}()
		io.WriteString(w, "x")
	})
}

func addFailures(mux *http.ServeMux, world *world) {
	flush := func(w http.ResponseWriter) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		world.wait()
	}
	for path, h := range map[string]http.HandlerFunc{
		"panic":         func(w http.ResponseWriter, r *http.Request) { panic("alas") },
		"panic-written": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic("alas") },
		"panic-flushed": func(w http.ResponseWriter, r *http.Request) { flush(w); panic("alas") },
		"panic-complete": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1")
			flush(w)
			panic("alas")
		},
		"panic-hints":   func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); world.wait(); panic("alas") },
		"abort":         func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"abort-written": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic(http.ErrAbortHandler) },
		"abort-flushed": func(w http.ResponseWriter, r *http.Request) { flush(w); panic(http.ErrAbortHandler) },
		"abort-length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9")
			flush(w)
			panic(http.ErrAbortHandler)
		},
		"abort-read":   func(w http.ResponseWriter, r *http.Request) { io.ReadAll(r.Body); panic(http.ErrAbortHandler) },
		"panic-nil":    func(w http.ResponseWriter, r *http.Request) { panic(nil) },
		"panic-status": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(99) },
		"panic-recovered": func(w http.ResponseWriter, r *http.Request) {
			defer func() { recover(); io.WriteString(w, "saved") }()
			panic("alas")
		},
		"short-flushed": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "9"); flush(w) },
	} {
		mux.HandleFunc("/"+path, h)
	}
}
