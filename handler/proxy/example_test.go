package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

// A proxy that sends requests for /api/ to one service, without this prefix, and all others to another one.
func Example() {
	service := func(name string) (*upstream.Set, *httptest.Server) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s: %s for %s", name, r.URL.Path, r.Header.Get("X-Forwarded-Host"))
		}))
		set, err := upstream.New(upstream.Options{}, upstream.Target{Addr: server.Listener.Addr().String()})
		if err != nil {
			panic(err)
		}
		return set, server
	}
	api, apiServer := service("api")
	defer apiServer.Close()
	site, siteServer := service("site")
	defer siteServer.Close()

	// Path has no leading slash, and is as the client has sent it: /%61pi/ goes to site. That is no way to keep clients from a service.
	prefix := []byte("api/")
	front := proxy.New(proxy.Config{
		To: func(q *proxy.Request) *upstream.Set {
			if bytes.HasPrefix(q.Path(), prefix) {
				return api
			}
			return site
		},
		Edit: func(q *proxy.Request) {
			if rest, ok := bytes.CutPrefix(q.Head().Bytes(q.Head().Target), []byte("/api")); ok {
				if err := q.SetTarget(string(rest)); err != nil {
					q.Refuse(400)
				}
			}
		},
	})

	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, front, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	for _, path := range []string{"/api/users", "/index.html"} {
		q, _ := http.NewRequest("GET", "http://"+ln.Addr()+path, nil)
		q.Host = "example.com"
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			panic(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(string(text), err)
	}
	// Output:
	// api: /users for example.com <nil>
	// site: /index.html for example.com <nil>
}
