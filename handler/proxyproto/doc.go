// Package proxyproto reads and writes the header of the PROXY protocol, versions 1 and 2, with which a proxy tells the server
// behind it the addresses of its client: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
//
// A header is parsed by github.com/pires/go-proxyproto, which needs all of it. Length finds its end first, whatever pieces it
// arrives in. Nothing here reads from a connection: New returns what the engine needs for that, and Append what a proxy writes.
//
// Only a listener that nobody but the proxy can reach should have it: the header is trusted.
package proxyproto
