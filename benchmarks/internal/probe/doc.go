// Package probe is a minimal HTTP/1.1 client for examining single answers. It keeps the head as received, and has no
// hidden behaviour. It understands only answers with a Content-Length, which all servers of the comparison are
// configured to send.
package probe
