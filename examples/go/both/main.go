// Command both serves Lua and Go at one address, which the Lua script names. A Go handler answers /go/time, and the script
// everything else, in processes of its own, the workers. To build it, cgo and LuaJIT's headers are needed (`make deps`).
//
//	go run ./examples/go/both examples/hello.lua
//	curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/luahttp"
	"moonbridge/handler/route"
	// luahttp.Start needs this import: it runs this program's binary a second time, as the parent of the workers. In that
	// process, package worker takes over before main begins.
	_ "moonbridge/handler/worker"
)

// now answers /go/time. It runs on an event loop, and must not block (see example hello).
func now(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	w.WriteString(time.Now().UTC().Format(time.RFC3339) + "\n")
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: both script.lua [argument ...]")
	}
	e, err := engine.New(engine.Options{})
	check(err)
	// Start loads the script, opens the listener that it names (exactly one, for HTTP), and starts launching the workers.
	// The context bounds only the loading. If a worker dies, its request gets 502, and another worker is started.
	script := pool.Config{Script: os.Args[1], Args: os.Args[2:], Logger: slog.Default()}
	lua, err := luahttp.Start(context.Background(), e, script)
	check(err)
	// Requests for exactly this path go to now, and all others to lua.Pool, the workers.
	goTime := route.Rule{Path: "/go/time", To: handler.OnLoop(handler.Func(now))}
	site, err := route.New([]route.Rule{goTime}, lua.Pool)
	check(err)
	check(lua.Serve(site))
	log.Printf("http://%s/", lua.Listener.Addr())
	// As in example hello. When requests in progress are complete, or after 10 seconds, Stop ends the workers and their parent.
	check(e.ShutdownOnSignal(10*time.Second, lua.Host.Stop))
}

// check ends the program after an error, and the workers end with it.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
