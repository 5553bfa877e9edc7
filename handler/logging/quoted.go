package logging

import "fmt"

// Quoted is what a peer has sent, fit for a log: escaped, and at most most bytes of it.
func Quoted(b []byte, most int) string {
	cut := ""
	if len(b) > most {
		b, cut = b[:most], "…"
	}
	q := fmt.Sprintf("%q", b)
	return q[1:len(q)-1] + cut
}
