// Command slowfiles shows what slow readers of a large static file cost: the memory of the server for each of 1,000 readers, and
// the throughput of honest clients beside them, as a ratio to the throughput without them just before and after.
//
// The file is sparse and has 200 MiB. Each reader has a small receive buffer and takes 1,000 bytes a second. wrk plays the honest
// clients; they call a handler, or get a static file of 1 KiB. The server is started for each round, so that memory from earlier
// readers does not hide what new ones need.
package main
