// Package proc reads the cost of a server from Linux's /proc: the total CPU time and memory of its processes.
//
// A Tree holds the processes of one server: its first process, all descendants of that, and all processes of its
// session. The parse functions take the text of a file and return numbers; only Tree and the functions named Read
// access /proc.
package proc
