package main

import (
	"strconv"

	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/route"
)

// devPath is where the page of a Lua error asks, with --dev, whether another generation serves by now. The page knows the number
// of its own.
const devPath = "/.moonbridge/generation"

// devNumber is this number. Generations of another server, which has been started in the place of this one, have others.
func (g *generation) devNumber() int { return g.s.devFirst + g.number }

// withDevPath puts the answer to this question in front of a backend.
func (g *generation) withDevPath(b backend.Backend) (backend.Backend, error) {
	number := strconv.Itoa(g.devNumber())
	answer := handler.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		w.Set("Content-Type", "text/plain")
		w.Set("Cache-Control", "no-store")
		w.WriteString(number)
	}))
	return route.New([]route.Rule{{Path: devPath, To: answer}}, b)
}
