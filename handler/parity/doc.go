// Package parity has no code. Its tests send the same requests to the same handlers on the server of net/http and on Moonbridge's,
// and compare the bytes of the responses and what becomes of the connections. What differs stands in a table, with the reason:
// docs/net-http.md.
//
// It is a module of its own, so that programs that embed the engine do not inherit what the tests import.
package parity
