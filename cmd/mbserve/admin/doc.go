// Package admin is the admin listener of mbserve: health, figures, a page that shows what the server does, profiles, and orders to
// reload and stop.
//
// It is an ordinary HTTP server of net/http on goroutines of its own. So it answers while all workers hang, and when every event
// loop is at its limit. It never uses a public listener. What it shows comes from functions in its [Config]; they must not wait for a
// worker.
//
// [Address] says where it listens, [Open] opens that. A [Server] answers: server.go has the routes, control.go the orders, events.go the
// stream for the page, which is page.html. [History] keeps the samples for its plots, [Errors] the last errors of the log.
package admin
