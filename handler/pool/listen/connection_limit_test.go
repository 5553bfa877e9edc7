package listen

import (
	"strings"
	"testing"

	"moonbridge/handler/pool/listen/listentest"
)

func connections(name string, v any) [3]any { return [3]any{0, "connection_limit\x00" + name, v} }

func TestDecodeConnectionLimit(t *testing.T) {
	for _, c := range []struct {
		entries [][3]any
		want    *ConnectionLimit
	}{
		{nil, nil},
		{[][3]any{{0, "connection_limit", false}}, nil},
		{[][3]any{connections("rate", 100)}, &ConnectionLimit{100, 100, 0}},
		{[][3]any{connections("rate", 0.5)}, &ConnectionLimit{0.5, 10, 0}},
		{[][3]any{connections("burst", 3), connections("rate", 2.5)}, &ConnectionLimit{2.5, 3, 0}},
		{[][3]any{connections("open", 20)}, &ConnectionLimit{0, 0, 20}},
		{[][3]any{connections("open", 20), connections("rate", 5)}, &ConnectionLimit{5, 10, 20}},
	} {
		spec, err := Decode(listentest.Message(append(c.entries, listentest.Listener...)...))
		if err != nil {
			t.Fatal(err)
		}
		got := spec.Options.ConnectionLimit
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%v: %+v, want %+v", c.entries, got, c.want)
		}
	}
	local := [][3]any{connections("rate", 1), {1, "proto", "local"}, {1, "path", "/x"}, {1, "connect", listentest.Func{}}}
	if _, err := Decode(listentest.Message(append(local, [3]any{1, "proxy_protocol", true})...)); err != nil {
		t.Error(err)
	}
	if _, err := Decode(listentest.Message(local...)); err == nil || !strings.Contains(err.Error(), "no listener of the pool knows the addresses") {
		t.Error(err)
	}
}

func TestDecodeConnectionLimitMistakes(t *testing.T) {
	for _, c := range []struct {
		entries [][3]any
		want    string
	}{
		{[][3]any{{0, "connection_limit", 5}}, "option connection_limit: table or false expected, got number"},
		{[][3]any{connections("burst", 5)}, "option connection_limit: rate or open is missing"},
		{[][3]any{connections("burst", 5), connections("open", 5)}, "option connection_limit: burst needs rate"},
		{[][3]any{connections("open", 0)}, "option connection_limit: open: 0 is not in the range from 1 to 1000000"},
		{[][3]any{connections("rate", 0)}, "option connection_limit: rate: 0 is not a number of connections per second up to 1000000"},
		{[][3]any{connections("rate", "5")}, "option connection_limit: rate: number expected, got string"},
		{[][3]any{connections("rate", 5), connections("burst", 0)}, "option connection_limit: burst: 0 is not in the range from 1 to"},
		{[][3]any{connections("rate", 5), connections("brust", 5)}, `unknown option of connection_limit: "brust" (did you mean "burst"?)`},
		{[][3]any{connections("rate", 0.001), connections("burst", 1000)}, "takes longer than a day to recover at 0.001 connections"},
	} {
		if _, err := Decode(listentest.Message(append(c.entries, listentest.Listener...)...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.entries, err, c.want)
		}
	}
}
