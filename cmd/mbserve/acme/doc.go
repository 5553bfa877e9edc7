// Package acme obtains certificates from an authority that speaks ACME (RFC 8555), renews them, and answers the authority's challenges.
//
// Package certmagic does the work: orders, accounts, storage, renewal, pauses after failures. What is here are its places in the
// server: which certificate a handshake gets (certificate.go), how challenges reach certmagic on connections of the server (challenge.go), which
// domains are wanted now (keeper.go), what the log says (log.go), and a storage that is private (storage.go).
//
// A [Keeper] has the certificates of one authority in one directory. All generations of the script, and other processes with the
// same directory, share what is in it: locks in the directory see to it that a certificate is obtained once.
package acme
