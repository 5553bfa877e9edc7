// Command idle measures what a connection costs a server while nothing happens on it, and what many of them do to new
// requests.
//
// For each server in turn it opens connections, sends one request over each, and leaves them open. Memory is that of all
// processes of the server before and after; what the kernel keeps for the sockets is not in it, and is the same for all.
package main
