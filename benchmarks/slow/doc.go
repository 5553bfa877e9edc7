// Command slow shows what slow clients cost the others: the throughput of honest clients beside 1,000 slow readers, beside
// 1,000 slow uploads, and beside both, as ratios to the throughput without them, measured just before.
//
// It measures when the server has come to rest: when it has read all heads, and written all responses into its spool, and the spool to the disk. The slow
// clients are those of slowhttptest. wrk plays the honest ones.
package main
