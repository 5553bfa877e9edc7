package httpwrite

import (
	"strings"

	"moonbridge/httpparse"
)

// Fixed are field lines that all responses of a listener have, in the form that error pages take.
type Fixed struct {
	lines string // without Connection, and without Content-Type, which an error page sets itself
	dated bool   // there is a Date
	close bool   // there was Connection: close
}

// NewFixed makes a Fixed of field lines, each with its CR LF. They must be valid: see CheckField.
func NewFixed(lines string) Fixed {
	var f Fixed
	var kept strings.Builder
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case httpparse.EqualFold(name, "Connection"):
			f.close = f.close || httpparse.EqualFold(strings.TrimSpace(value), "close")
			continue
		case httpparse.EqualFold(name, "Content-Type"):
			continue
		case httpparse.EqualFold(name, "Date"):
			f.dated = true
		}
		kept.WriteString(line)
	}
	f.lines = kept.String()
	return f
}

// Close reports whether the connection is to end after each response.
func (f *Fixed) Close() bool { return f.close }
