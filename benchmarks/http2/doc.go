// Command http2 compares servers that speak HTTP/2 with TLS, under the load of h2load: requests per second and CPU time of a short answer and of one
// of 100 KB, with one, ten and a hundred streams of a connection. All have the same certificate, and take turns in each round. nginx runs the same handlers in Lua.
//
// With -attacks it shows what the known floods of HTTP/2 cost the others: the throughput of honest clients of mbserve beside each, as a
// ratio to the throughput just before.
package main
