// Package crash keeps what is known of requests that have failed: a file each, in a directory that it bounds. Secrets in named fields
// are masked before anything is written. A Record can be read again, and made into a request.
package crash
