// Package forwarded finds out who the client of a request is that has come through proxies: its address, and whether it has
// asked for https. Proxies say that in the fields X-Forwarded-For and X-Forwarded-Proto, or Forwarded (RFC 7239).
//
// Anybody can send these fields. They count only as far as they were written by proxies that are trusted: a proxy appends the
// address from which it got the request, so the list is read from its end. If the peer of the connection is trusted, the
// last entry is true. If that is trusted too, so is the one before, and so on. The first address that is not trusted is the
// client.
package forwarded
