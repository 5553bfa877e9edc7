package luahttp_test

import (
	"context"
	"log"
	"log/slog"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/luahttp"
)

// A server for a script. The program must import moonbridge/handler/worker for its effect. For an example that can be run see
// examples/go/both.
func ExampleStart() {
	e, err := engine.New(engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lua, err := luahttp.Start(context.Background(), e, pool.Config{Script: "app.lua", Logger: slog.Default()})
	if err != nil {
		log.Fatal(err)
	}
	if err := lua.Serve(lua.Pool); err != nil {
		log.Fatal(err)
	}
	if err := e.ShutdownOnSignal(10*time.Second, lua.Host.Stop); err != nil {
		log.Fatal(err)
	}
}
