// Package rawhttp serves HTTP on a raw connection inside a worker. A handler of generate_handler runs in a cell of shared
// memory that the server's loop fills and empties. On a raw connection there is no loop: the cell is ordinary memory of the
// worker, and a [Conn] does for it what package engine and package handler/pool do for all other exchanges. It reads heads
// and bodies into the in-window, writes the out-window to the socket, and keeps the time. The Lua side cannot tell the
// difference.
//
// The engine's connection is a state machine. This one may block, so that it reads from top to bottom: request.go waits for
// a request and puts it into the cell, body.go moves the body, output.go sends the response, io.go has the system calls, and
// beat.go does what has to go on while the handler computes, complete.go what remains after its response. The rules of HTTP
// are those of packages httpparse and httpwrite.
//
// The package has no cgo and knows no Lua. It exports what the worker's C code calls, and nothing else.
package rawhttp
