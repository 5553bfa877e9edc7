package main

import (
	"time"

	"github.com/valyala/fasthttp"

	"moonbridge/benchmarks/peers/workload"
)

var handlers = map[string]fasthttp.RequestHandler{
	"hello":    hello,
	"blocking": blocking,
	"page": func(ctx *fasthttp.RequestCtx) {
		answer(ctx, workload.Page())
	},
	"json": func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(workload.JSONType)
		ctx.SetBody(workload.JSON())
	},
	"form": func(ctx *fasthttp.RequestCtx) {
		answer(ctx, workload.Greeting(string(ctx.PostArgs().Peek(workload.FormField))))
	},
	"echo": func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(workload.ContentType)
		ctx.SetBody(ctx.PostBody())
	},
	"beside": func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == workload.BlockingPath {
			blocking(ctx)
			return
		}
		hello(ctx)
	},
}

func hello(ctx *fasthttp.RequestCtx) { answer(ctx, workload.Hello) }

func blocking(ctx *fasthttp.RequestCtx) {
	time.Sleep(workload.Sleep)
	answer(ctx, workload.Hello)
}

func answer(ctx *fasthttp.RequestCtx, body string) {
	ctx.SetContentType(workload.ContentType)
	ctx.SetBodyString(body)
}

func main() {
	address, handler := workload.Handler(handlers)
	// The library's default limit of connections is 262,144: out of reach here.
	server := fasthttp.Server{Handler: handler}
	workload.Fail(server.ListenAndServe(address))
}
