package route_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/route"
)

// Two backends share an address.
func Example() {
	say := func(text string) handler.Func {
		return func(w *handler.Response, r *handler.Request) { w.Write([]byte(text)) }
	}
	b, err := route.New([]route.Rule{{Path: "/api/", To: handler.OnLoop(say("the API"))}}, handler.OnLoop(say("the site")))
	if err != nil {
		panic(err)
	}
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		panic(err)
	}
	for _, path := range []string{"/", "/api/users"} {
		res, err := http.Get("http://" + ln.Addr() + path)
		if err != nil {
			panic(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(path, "→", string(text))
	}
	// Output:
	// / → the site
	// /api/users → the API
}
