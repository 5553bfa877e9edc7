// Package probe is a minimal HTTP/1.1 client for looking at answers one at a time: it keeps the head as it came over the
// wire, and does nothing behind its caller's back. It understands answers with a Content-Length only, which is what all
// servers of the comparison are made to send.
package probe
