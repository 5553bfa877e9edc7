package wrk

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"
)

func TestRunEndsWithItsContext(t *testing.T) {
	if Version() == "" {
		t.Skip("wrk is not installed: benchmarks/install.sh")
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, but there is never an answer
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	defer timer.Stop()
	load := Load{URL: "http://" + silent.Addr().String() + "/", Threads: 1, Conns: 1, Duration: time.Minute}
	if _, _, err := load.Run(ctx); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestArgs(t *testing.T) {
	tests := []struct {
		name string
		in   Load
		want []string
	}{
		{"two threads", Load{URL: "u", Threads: 2, Conns: 64, Duration: 5 * time.Second},
			[]string{"-t2", "-c64", "-d5s", "--latency", "u"}},
		{"no more threads than connections", Load{URL: "u", Threads: 2, Conns: 1, Duration: time.Second},
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
