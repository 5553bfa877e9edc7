// Package program is the frame of the measuring programs: their start and end, the flags that several of them have, and the
// reports that they keep in results.
package program
