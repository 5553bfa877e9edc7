// Package backend is the contract between the engine, which owns connections, and a backend, which answers requests. Read
// it first if you want to write a backend of your own. Those of this module are Go handlers (package handler), worker processes
// (handler/pool), a proxy (handler/proxy), and some that stand in front of another backend: files, routes, a cache, compression,
// rate limits.
//
// # Calls
//
// The engine calls Backend.Attach once for each loop. It starts every exchange of that loop with the LoopBackend that it
// got: Start returns a Running. From then on the connection tells the backend what happens through Running, and the backend
// tells the connection through Exchange. All these calls are made on the loop, without locks.
//
// Several exchanges of one connection may be in progress, each with an Exchange of its own. The connection takes output of any of
// them, and sends it in the order of the requests. An Overlapping LoopBackend bounds their number.
//
// An exchange ends with the first of Exchange.Done, Exchange.Failed and Running.Cancel. Neither side calls the other after
// that, except that Timed.Times may still be asked for within the call that ends the exchange.
//
// A handler may go on after its response is complete. Exchange.Complete says so: the connection goes on with its next
// request, and of the exchange only its end is left. That is Exchange.Left, when the handler has ended, or Running.Cancel,
// when the connection is gone before. A backend that sees both at the same time calls Done and nothing else.
//
// Running.PeerEnd says that the peer has finished sending. It may have gone, or still read. A backend that takes the first for
// granted ends the exchange with Exchange.Failed and StatusClientGone.
//
// # Ownership
//
// The head and the first body bytes are views of the connection's input. They are valid during Start only. The slices given
// to Exchange.Output are views of the backend's memory and are valid during that call only. The slices that Running.BodyRoom
// returns may be written to until the next BodyCommit, BodyEnd, BodyAbort or Cancel.
//
// # What it does not contain
//
// Hardly any code runs here: the package declares interfaces, the end states of an exchange, and the errors of Start. EachMessage
// (messages.go) and Wrapped (wrapped.go) do what implementations of these interfaces would otherwise repeat.
package backend
