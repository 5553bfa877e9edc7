// Package metrics counts what a server does, and writes the counts in the formats of Prometheus.
//
// A [Recorder] hears of each exchange when it is over. It counts into an [Account], of which each pool has one. An Account has a part
// for each event loop, which only that loop writes to: the counters are atomic so that they can be read, but no two loops ever wait
// for each other. A [Histogram] counts in the buckets of a native histogram of Prometheus. Its classic buckets are made from those.
//
// A [Registry] is asked for all figures. Whoever has some adds a function, which writes them to a [Writer] each time they are asked
// for. So what is off costs nothing, and what is on costs only while it is read.
package metrics
