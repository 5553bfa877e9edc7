// Package accesslog describes what an access log needs to know about an exchange, and collects it while the exchange runs.
//
// An [Entry] describes one exchange to the log. A [Record] collects what the entry will need: parts of the request's head, and
// what is found in the response as it goes out (httpwrite.Scan). The sender of the response owns its record.
//
// The package has no log: it writes nothing, reads no clock and makes no ids except a prefix for them.
package accesslog
