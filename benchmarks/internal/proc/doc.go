// Package proc reads from Linux's /proc what a server costs: CPU time and memory of all its processes together.
//
// A Tree is the processes of one server: its first process, all that descend from it, and all of its session. The
// functions that parse take the text of a file and return numbers; only Tree and the functions named Read touch /proc.
package proc
