// Command iocopy passes TCP connections on to an upstream in the usual Go way: two goroutines with io.Copy for each, which the
// standard library does with splice(2) on Linux. It runs until a signal ends it.
package main
