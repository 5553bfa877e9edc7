// Package testrun is the server's side of tests of an application: it answers what their process asks (see pool.Test), sends
// the requests of their clients, and reports what has become of each test: as text, as TAP, as JUnit's XML, or as one error.
//
// It knows neither processes nor listeners. A Run belongs to one goroutine. Results are passed by pointer and are not changed
// after they were reported.
package testrun
