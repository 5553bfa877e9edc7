// Package handler runs request handlers that are written in Go. The contract between the engine and whatever answers
// requests is in package handler/backend.
//
// # Handlers
//
// A [Handler] has one method, Serve, which gets a [Response] and a [Request]. Two backends call it:
//
//   - [OnLoop] calls it on the event loop, within Start or when the request body is complete. The handler must not
//     block. No memory is allocated per exchange but 16 bytes; the responses of a turn are passed on together at its end.
//   - [Blocking] calls it on a goroutine. Both bodies are streamed through bounded buffers. The goroutine waits for the
//     peer where necessary. It may have been that of the loop until then; another one becomes the loop if the handler is not short.
//
// [HTTP] turns a handler for net/http into a Handler.
//
// # Ownership
//
// A Request, a Response, and all slices that they return are valid until Serve returns. After that the methods of a Response
// return ErrEnded; the slices may contain anything. Buffers that are reused for other exchanges are returned only when both
// the loop and the handler have finished with the exchange.
//
// # Limits
//
// The limits are in [Config], with two exceptions. The field lines of a response may grow to 256 KiB; beyond that Add
// returns [ErrFieldsTooLarge]. A loop that runs OnLoop completes at most 4096 exchanges, and calls no more handlers when it has 4 MiB of responses,
// before it handles other events.
//
// # What the package does not do
//
// It parses nothing and opens no connection. Its only time limit is that of the queue; those of connections are the
// engine's. A Go handler that never returns cannot be stopped. There is no routing: a mux is a Handler that the user
// writes, or one of net/http.
package handler
