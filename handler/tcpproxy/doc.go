// Package tcpproxy passes connections on to other servers, without knowing what is spoken on them. A [Proxy] is a backend.Protocol, for
// engine.ServeProtocol. Each connection stays on its loop, and so does the one to its target.
//
// Its nouns: a [Client] is what is known about a connection when its service is chosen. A session is a connection of a client, and later
// the connection to a target too. It is sniffing (its first bytes are awaited, for the name in them), then connecting, then relaying.
//
// While it relays, both directions are independent: each has its own back-pressure and its own end (half-close). What one side has
// sent before its end reaches the other one in full. A connection that breaks is broken on the other side too, so that no peer takes
// a part for the whole.
//
// Targets, balancing and health are those of package upstream. The addresses of clients reach targets by the PROXY protocol
// ([Config].ProxyOut), and come from a proxy in front by the same (engine.Listener.SetPreface with proxyproto.New).
package tcpproxy
