// Package handler is about who answers requests: the contract between the engine and what handles its exchanges, and the
// handlers that are written in Go.
//
// # The contract
//
// The engine knows a Backend. It calls Attach once for each loop, and the LoopBackend that it gets with every exchange:
// Start, which returns a Running. From then on the two sides talk by Running (what the connection tells the handler) and
// Exchange (what the handler tells the connection), on the loop, without locks. An exchange ends by Exchange.Done,
// Exchange.Failed or Running.Cancel, whichever comes first; after that neither side calls the other.
//
// # Handlers in Go
//
// A Handler has one method, Serve, which gets a Response and a Request. Two backends call it:
//
//   - OnLoop calls it on the loop, within Start or when the request body is complete. It must not block. Nothing is
//     allocated per exchange; the responses of a turn are passed on together at its end.
//   - Blocking calls it on a goroutine. Both bodies are streamed through bounded room; the goroutine waits for the
//     peer where it has to, and the loop never waits for the goroutine.
//
// HTTP makes a Handler of a handler for net/http.
//
// # Response heads
//
// All heads that Go code sends are built by ResponseHead.Append, also those of the engine's own error responses
// (AppendError).
//
// # Who owns what
//
// A Request and a Response belong to Serve and end with it; what they return are views with the same life. OnLoop keeps
// one of each for a loop; those of Blocking are made for each exchange. Whatever is used again by other exchanges
// (windows, parts) goes back only when the exchange is over on the loop as well as for its handler.
//
// # Bounds
//
// All in Config, but for these: the field lines of a response may grow to 256 KiB, then Add returns ErrFieldsTooLarge;
// a loop that runs OnLoop completes at most 4096 exchanges before it looks at its other events.
//
// # What it does not do
//
// It parses nothing, opens no connection, and knows no time limits besides that of its queue: those of connections are
// the engine's, and a Go handler that never returns cannot be ended by anybody. It routes nothing: a mux is a Handler
// of the user's, or one of net/http.
package handler
