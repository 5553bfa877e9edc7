package pool

import (
	"strings"
	"testing"
)

// The warnings of a fork server about the machine are logged once per process.
func TestWarnsOnce(t *testing.T) {
	warned.Clear()
	for i, c := range []struct {
		word string
		want int
	}{{"odd", 1}, {"odd", 0}, {"odder", 1}} {
		t.Run(c.word, func(t *testing.T) {
			r := start(t, setup{script: "warn " + c.word})
			if n := strings.Count(r.log.String(), "level=WARN msg=\"the machine is odd"); n != c.want {
				t.Errorf("start %d: %d warnings, want %d", i, n, c.want)
			}
		})
	}
}
