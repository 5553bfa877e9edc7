// Package wrk starts the load generator wrk and reads the numbers out of its report.
//
// wrk reports latencies as the clients saw them, without correction for requests that could not be sent while a client
// waited: at a given number of connections they tell how long an answer took, not what happens at a given rate.
package wrk
