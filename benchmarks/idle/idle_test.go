package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/servers"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.conns != 10000 || strings.Join(o.servers, ",") != "mbserve,nginx,nethttp" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, line := range []string{"-conns 0", "-conns 2000001", "-hold -1s", "-samples 0", "-servers apache", "-dir /", "-name ../x", "stray"} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
	var help bytes.Buffer
	if _, err := parseOptions([]string{"-help"}, &help); err == nil || !strings.Contains(help.String(), "idle connections") {
		t.Errorf("help: %v\n%s", err, help.String())
	}
}

// More connections than one address has ports come from several addresses.
func TestAddressOf(t *testing.T) {
	tests := []struct {
		i    int
		want string
	}{{0, "127.0.0.1"}, {19999, "127.0.0.1"}, {20000, "127.0.0.2"}, {39999, "127.0.0.2"}, {40000, "127.0.0.3"}, {connsMax - 1, "127.0.0.100"}}
	for _, test := range tests {
		if got := addressOf(test.i).String(); got != test.want {
			t.Errorf("connection %d comes from %s, want %s", test.i, got, test.want)
		}
	}
}

func TestEach(t *testing.T) {
	var calls atomic.Int64
	if err := each(context.Background(), 1000, func(int) error { calls.Add(1); return nil }); err != nil || calls.Load() != 1000 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
	broken := errors.New("broken")
	calls.Store(0)
	err := each(context.Background(), 100000, func(i int) error {
		calls.Add(1)
		if i == 10 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || calls.Load() == 100000 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := each(ended, 10, func(int) error { return nil }); err == nil {
		t.Error("no error from a context that has ended")
	}
}

func TestPerConn(t *testing.T) {
	s := observation{conns: 10, before: proc.Memory{RSS: 1000}, after: proc.Memory{RSS: 6000}}
	if got := s.perConn(s.before.RSS, s.after.RSS); got != 500 {
		t.Errorf("got %v", got)
	}
	if got := s.perConn(s.after.RSS, s.before.RSS); got != -500 {
		t.Errorf("memory that shrinks: got %v", got)
	}
}

func TestObserve(t *testing.T) {
	for flag, want := range map[string]protocol{"": plainHTTP, "-tls": httpTLS, "-http2": http2TLS} {
		t.Run(string(want), func(t *testing.T) {
			o, err := parseOptions(strings.Fields("-servers nethttp -conns 100 -hold 100ms -samples 20 "+flag), io.Discard)
			if err != nil || o.protocol != want {
				t.Fatal(o.protocol, err)
			}
			if o.settings.Files, err = servers.RaiseFiles(1024); err != nil {
				t.Fatal(err)
			}
			o.settings.Temp = t.TempDir()
			if err := o.settings.Check(o.servers); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			seen, err := observe(ctx, o, "nethttp")
			if err != nil {
				t.Fatal(err)
			}
			if seen.closed != 0 || seen.processes != 1 || seen.before.RSS == 0 || seen.after.RSS == 0 ||
				len(seen.freshBefore) != 20 || len(seen.fresh) != 20 || len(seen.awake) != 20 {
				t.Errorf("got %+v", seen)
			}
		})
	}
}
