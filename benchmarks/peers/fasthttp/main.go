package main

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"moonbridge/benchmarks/peers/workload"
)

var handlers = map[string]fasthttp.RequestHandler{
	"hello": func(ctx *fasthttp.RequestCtx) {
		answer(ctx, workload.Hello)
	},
	"page": func(ctx *fasthttp.RequestCtx) {
		answer(ctx, workload.Page())
	},
	"blocking": func(ctx *fasthttp.RequestCtx) {
		time.Sleep(workload.Sleep)
		answer(ctx, workload.Hello)
	},
	"echo": func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(workload.ContentType)
		ctx.SetBody(ctx.PostBody())
	},
}

func answer(ctx *fasthttp.RequestCtx, body string) {
	ctx.SetContentType(workload.ContentType)
	ctx.SetBodyString(body)
}

func main() {
	address, name := workload.Args()
	handler := handlers[name]
	if handler == nil {
		workload.Fail(fmt.Errorf("unknown workload %q", name))
	}
	// The library's default limit of connections is 262,144: out of reach here.
	server := fasthttp.Server{Handler: handler}
	workload.Fail(server.ListenAndServe(address))
}
