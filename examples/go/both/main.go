// Command both serves Lua and Go at one address. A Go handler answers /go/time, a Lua script everything else. The script runs
// in processes of its own, the workers. It needs cgo and LuaJIT's headers, which `make deps` installs.
//
//	go run ./examples/go/both examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
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
	_ "moonbridge/handler/worker" // needed: this program is started once more, as the process that starts the workers
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
	// Start loads the script and starts the workers. A script must have one listener, for HTTP, which Start opens.
	script := pool.Config{Script: os.Args[1], Args: os.Args[2:], Logger: slog.Default()}
	lua, err := luahttp.Start(context.Background(), e, script)
	check(err)
	// Requests for other paths than those of the rules go to lua.Pool, that is to the workers.
	b, err := route.New([]route.Rule{{Path: "/go/time", To: handler.OnLoop(handler.Func(now))}}, lua.Pool)
	check(err)
	check(lua.Serve(b))
	log.Printf("http://%s/", lua.Listener.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete. When there are none
	// left, Host.Stop ends the workers.
	check(e.ShutdownOnSignal(10*time.Second, lua.Host.Stop))
}

// check ends the program after an error, and the workers end with it.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
