package wrk

import (
	"slices"
	"testing"
	"time"
)

func TestArgs(t *testing.T) {
	tests := []struct {
		name string
		in   Load
		want []string
	}{
		{"two threads", Load{URL: "u", Threads: 2, Conns: 64, Duration: 5 * time.Second},
			[]string{"-t2", "-c64", "-d5s", "--latency", "u"}},
		{"never more threads than connections", Load{URL: "u", Threads: 2, Conns: 1, Duration: time.Second},
			[]string{"-t1", "-c1", "-d1s", "--latency", "u"}},
		{"script, duration rounded up to a second", Load{URL: "u", Threads: 2, Conns: 2, Duration: 1, Script: "s.lua"},
			[]string{"-t2", "-c2", "-d1s", "--latency", "-s", "s.lua", "u"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.in.Args(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
