// Package servers starts, checks and stops the servers of the comparison.
//
// A Workload defines a request and what the handlers do with it. Each kind of server has its own handlers (scripts/ for
// mbserve, nginx/ in this package, peers/ for Go); Compare checks that they answer alike. A Server is a running process
// with its children. The caller of Start must call Stop. A Server is not safe for concurrent use. All servers listen on
// 127.0.0.1.
package servers
