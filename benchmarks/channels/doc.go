// Command channels measures what a subscriber of server-sent events costs a server, and how fast messages reach all of them.
//
// For each server in turn it opens subscribers, publishes one message after the other, each when all subscribers have the last one,
// and then many at once. The servers are mbserve, nginx with the module nchan, and the floor, which does nothing but send. The
// subscribers are one process with an event loop, so that they take as little of the processors as possible; server and subscribers
// share them. With -beside it measures what publishing leaves to honest clients.
//
// The kernel's memory for the sockets is not included; it is the same for all servers.
package main
