// Package cache keeps responses of a backend in memory, and answers requests from there. It wraps the backend, and is one itself:
// requests that it cannot answer go on to the wrapped backend. It is a shared cache by RFC 9111 that never guesses: a response
// is kept only if its handler says for how long.
//
// # Nouns
//
// A [Cache] is a backend with a store. The store has an object for each key (host, path and query). An object has variants:
// responses that differ by the request fields that Vary names. A fill is an exchange with the wrapped backend whose response
// may become a variant. A run is an exchange of a client: it is served from a variant, forwarded to the wrapped backend, or
// waits for the fill of another run.
//
// # Ownership
//
// All loops share the store. Its shards have locks, which are held for lookups and changes of links, never for output or for
// calls of a backend. Variants are immutable. They are counted: the store and each run that sends one hold it, and its memory
// counts until the last of them has let it go. A run belongs to its loop. A fill tells runs on other loops that it has ended
// by Loop.Post.
//
// # What it does not do
//
// The rules (control.go, facts.go, use.go) and the store know no sockets and read no clock. Nothing is kept on a disk, nothing is
// kept by heuristics, and nothing outlives the Cache: a new one starts empty.
package cache
