// Package wrk starts the load generator wrk and parses its report.
//
// wrk reports latencies as seen by the clients, without correction for requests that could not be sent while a client
// waited. They show how long an answer takes with a given number of connections, not at a given rate.
package wrk
