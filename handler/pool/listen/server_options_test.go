package listen

import (
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/pool/listen/listentest"
)

// poolsOwn are the options that a pool carries out itself, that say where a listener is, or that are limits of every HTTP handler.
var poolsOwn = []string{
	"pre_fork", "min_fork", "max_fork", "fork_delay", "fork_error_delay", "exit_delay", "idle_timeout", "request_timeout", "queue_timeout",
	"gone_after", "queue_limit", "memory_limit", "min_requests_per_fork", "max_requests_per_fork", "recycle_on_error", "prepare", "finish",

	"port", "host", "localhost", "path", "mode", "delay", "name", "strict",

	"request_body_size_limit", "request_header_size_limit", "request_header_timeout", "stall_timeout", "response_timeout", "drain_timeout",
	"buffer_response", "stream_body", "on_client_gone", "client_gone_timeout",
	"cache_bytes", "cache_entry_bytes", "cache_wait", "cache_status", "cache_directives", "compress_min_bytes", "compress_level",
}

// Every option that the decoder knows is either a pool's own or named when it is set.
func TestServerOptions(t *testing.T) {
	set := map[string][][3]any{
		"selftest":         {{0, "selftest", listentest.Func{}}},
		"trusted_proxies":  {{0, "trusted_proxies\x00", "10.0.0.0/8"}},
		"routes":           {{0, "routes\x00/api/\x00proxy", "http://127.0.0.1:9000"}},
		"static":           {{0, "static\x00/assets/\x00", "assets"}},
		"rate_limit":       {{0, "rate_limit\x00rate", 5}},
		"connection_limit": {{0, "connection_limit\x00rate", 5}},
		"flood_penalty":    {{0, "flood_penalty", false}},
		"error_page":       {{0, "error_page", true}},
		"proxy_protocol":   {{1, "proxy_protocol", true}},
		"tls":              {{1, "tls\x000\x00cert", "a"}, {1, "tls\x000\x00key", "b"}},
		"redirect_https":   {{1, "redirect_https", true}},
		"http2":            {{1, "http2", "h2c"}},
		"encoded_body":     {{1, "connect", listentest.HTTP("encoded_body=1\n")}},
		"compress":         {{1, "connect", listentest.HTTP("compress=1\n")}},
		"cache":            {{1, "connect", listentest.HTTP("cache=1\n")}},
		"static_headers":   {{1, "connect", listentest.HTTPText(strings.Join(listentest.HTTPOptions, "=0\n") + "=0\n\nA: b\r\n")}},
	}
	tcp := [][3]any{{0, "connect", listentest.HTTP("")}, {1, "proto", "tcp4"}, {1, "port", 0}}
	names := func(entries ...[3]any) []string {
		t.Helper()
		spec, err := Decode(listentest.Message(entries...))
		if err != nil {
			t.Fatalf("%v: %v", entries, err)
		}
		return spec.ServerOptions()
	}
	if got := names(tcp...); len(got) > 0 {
		t.Errorf("a script without options: %v", got)
	}
	for name, entries := range set {
		if got := names(append(entries, tcp...)...); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	local := [][3]any{{0, "connect", listentest.Func{}}, {1, "proto", "local"}, {1, "path", "/x"}, {1, "owner", "a"}, {1, "group", "b"},
		{2, "proto", "local"}, {2, "path", "/y"}, {2, "owner", "a"}}
	if got := names(local...); !slices.Equal(got, []string{"owner", "group"}) {
		t.Errorf("got %v", got)
	}

	known := []string{"owner", "group"}
	for name := range set {
		known = append(known, name)
	}
	known = append(known, poolsOwn...)
	check := func(name string) {
		if !slices.Contains(known, name) {
			t.Errorf("option %s: it is neither a pool's own nor one of ServerOptions", name)
		}
	}
	for name := range poolOptions {
		check(name)
	}
	for _, of := range parameters {
		for name := range of {
			check(name)
		}
	}
	for name := range httpOptions {
		check(name)
	}
}
