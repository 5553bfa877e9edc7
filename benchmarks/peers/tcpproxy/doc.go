// Command tcpproxy passes TCP connections on to an upstream with Moonbridge's handler/tcpproxy, on the event loops of its engine.
// It runs until a signal ends it.
package main
