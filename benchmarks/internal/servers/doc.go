// Package servers starts, checks and stops the servers of the comparison.
//
// A Workload says what is asked and what the handlers do; it exists once for each kind of server (scripts/ for mbserve,
// nginx/ in this package, peers/ for Go), and Compare refuses to take handlers for equal that do not answer alike.
// A Server is a running process with its children. Whoever starts it stops it; a Server is for one goroutine.
// All servers listen on 127.0.0.1.
package servers
