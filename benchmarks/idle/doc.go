// Command idle measures what an idle connection costs a server, without TLS, with it and with HTTP/2, and how many idle connections affect
// new requests.
//
// For each server in turn it opens connections, sends one request over each, and leaves them open. It compares the
// memory of all processes of the server before and after. The kernel's memory for the sockets is not included; it is
// the same for all servers.
package main
