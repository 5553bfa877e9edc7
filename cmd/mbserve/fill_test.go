package main

import (
	"fmt"
	"testing"
)

// spread adds options with which the first two connections are on different event loops, and later ones on either. Without them a test with
// few connections has all of them on one.
func spread(args ...string) []string {
	return append([]string{"--loops", "2", "--fill-loops", "1"}, args...)
}

// Connections fill the event loops one after the other, each with the number of --fill-loops.
func TestFillLoops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want [2]float64
	}{
		{nil, [2]float64{8, 2}},
		{[]string{"--fill-loops", "5"}, [2]float64{5, 5}},
		{[]string{"--fill-loops", "100"}, [2]float64{10, 0}},
	} {
		s := start(t, append(append([]string{"--loops", "2", "--admin", loopbackPort}, c.args...), "testdata/hello.lua")...)
		for i := range 10 {
			p := dialAs(t, i, s.address(0))
			p.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			p.hears(200)
		}
		var got [2]float64
		eventually(t, "all are idle", func() bool {
			all := s.figures()
			for i := range got {
				got[i] = all[fmt.Sprintf(`moonbridge_connections{loop="%d",state="idle"}`, i)]
			}
			return got[0]+got[1] == 10
		})
		if got != c.want {
			t.Errorf("%q: the loops have %v, want %v", c.args, got, c.want)
		}
		s.stop()
	}
}
