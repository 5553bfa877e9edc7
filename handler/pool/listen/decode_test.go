package listen

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/pool/listen/listentest"
)

func TestDecodeListen(t *testing.T) {
	o := Defaults()
	o.complete(minForkDefault, maxForkDefault)
	h := &HTTPOptions{RequestBodySizeLimit: 1, RequestHeaderSizeLimit: 1, IdleTimeout: time.Second,
		RequestHeaderTimeout: time.Second, StallTimeout: time.Second, ResponseTimeout: time.Second, DrainTimeout: time.Second,
		ClientGoneTimeout: time.Second, BufferResponse: 1, StreamBody: true, Compress: Compress{MinBytes: 1, Level: 1},
		Cache: Cache{Bytes: 1, EntryBytes: 1, Wait: time.Second, Status: true, RequestDirectives: true}}
	spec, err := Decode(listentest.Message(
		[3]any{2, "proto", "local"}, [3]any{2, "path", "/tmp/x"}, [3]any{2, "mode", "0660"},
		[3]any{0, "connect", listentest.HTTP("request_body_size_limit=1000\nidle_timeout=0.5\nstream_body=0\nbuffer_response=7\n")},
		[3]any{1, "proto", "tcp4"}, [3]any{1, "port", 8080}, [3]any{1, "localhost", true},
		[3]any{3, "proto", "interval"}, [3]any{3, "delay", 1.5}, [3]any{3, "name", "tidy"}, [3]any{3, "strict", true}, [3]any{3, "connect", listentest.Func{}},
		[3]any{4, "proto", "tcp"}, [3]any{4, "port", "http"}, [3]any{4, "connect", listentest.HTTP("")},
		[3]any{5, "proto", "tcp6"}, [3]any{5, "port", 0}, [3]any{5, "proxy_protocol", true},
		[3]any{6, "proto", "tcp"}, [3]any{6, "port", 1}, [3]any{6, "host", "127.0.0.1"},
		[3]any{7, "proto", "tcp4"}, [3]any{7, "port", 7}, [3]any{7, "connect", listentest.Func{}},
		[3]any{8, "proto", "local"}, [3]any{8, "path", "/tmp/y"}, [3]any{8, "connect", listentest.Func{}},
		[3]any{0, "min_fork", 3}, [3]any{0, "fork_delay", false}, [3]any{0, "exit_delay", 0.25}, [3]any{0, "prepare", listentest.Func{}}, [3]any{0, "selftest", listentest.Func{}},
		[3]any{0, "memory_limit", 1e6 + 0.5}, [3]any{0, "min_requests_per_fork", 2}, [3]any{0, "recycle_on_error", true}, [3]any{0, "flood_penalty", false},
		[3]any{0, "gone_after", false}, [3]any{0, "trusted_proxies\x00", "10.0.0.0/8"}, [3]any{0, "trusted_proxies\x00", "unix"},
	))
	if err != nil {
		t.Fatal(err)
	}
	o.MinFork, o.ForkDelay, o.ExitDelay, o.Prepare, o.Selftest = 3, 0, 250*time.Millisecond, true, true
	o.MemoryLimit, o.MinRequests, o.RecycleOnError, o.GoneAfter, o.FloodPenalty = 1e6, 2, true, 0, false
	o.TrustedProxies = []string{"10.0.0.0/8", "unix"}
	shared := *h
	shared.RequestBodySizeLimit, shared.IdleTimeout = 1000, 500*time.Millisecond
	shared.StreamBody, shared.BufferResponse = false, 7
	want := &Spec{Options: o, Listeners: []Listener{
		{Proto: "tcp4", Port: 8080, Localhost: true, HTTP: &shared},
		{Proto: "local", Path: "/tmp/x", Mode: 0o660, HasMode: true, HTTP: &shared},
		{Proto: "interval", Delay: 1500 * time.Millisecond, Name: "tidy", Strict: true},
		{Proto: "tcp", Host: "::", Port: 80, HTTP: h},
		{Proto: "tcp6", HTTP: &shared, ProxyProtocol: true},
		{Proto: "tcp", Host: "127.0.0.1", Port: 1, HTTP: &shared},
		{Proto: "tcp4", Port: 7},
		{Proto: "local", Path: "/tmp/y"},
	}}
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("got\n%+v, want\n%+v", spec, want)
	}
	var names []string
	for i := range spec.Listeners {
		names = append(names, spec.Listeners[i].String()+" "+spec.Listeners[i].Network())
		if raw := i >= 6; spec.Listeners[i].Raw() != raw {
			t.Errorf("listener %d: raw %v, want %v", i+1, !raw, raw)
		}
	}
	if got := strings.Join(names, ", "); got != `tcp4 127.0.0.1:8080 tcp4, local /tmp/x unix, interval "tidy" , `+
		`tcp [::]:80 tcp, tcp6 [::]:0 tcp6, tcp 127.0.0.1:1 tcp, tcp4 0.0.0.0:7 tcp4, local /tmp/y unix` {
		t.Error(got)
	}
}

func TestDecodeDefaults(t *testing.T) {
	for _, c := range []struct {
		options        [][3]any
		pre, min, most int
	}{
		{nil, 1, 2, 16},
		{[][3]any{{0, "pre_fork", 5}}, 5, 5, 16},
		{[][3]any{{0, "min_fork", 20}}, 1, 20, 20},
		{[][3]any{{0, "max_fork", 1}}, 1, 1, 1},
		{[][3]any{{0, "pre_fork", 30}}, 30, 30, 30},
	} {
		spec, err := Decode(listentest.Message(append(c.options, listentest.Listener...)...))
		if err != nil {
			t.Fatal(err)
		}
		o := spec.Options
		if o.PreFork != c.pre || o.MinFork != c.min || o.MaxFork != c.most {
			t.Errorf("%v: %d, %d, %d", c.options, o.PreFork, o.MinFork, o.MaxFork)
		}
		if o.QueueLimit != 1024 || o.QueueTimeout != 10*time.Second || o.GoneAfter != 100*time.Millisecond || o.ForkErrorDelay != 2*time.Second {
			t.Errorf("%+v", o)
		}
	}
}

// Every mistake is named.
func TestDecodeErrors(t *testing.T) {
	http := func(es ...[3]any) [][3]any { return append(es, [3]any{0, "connect", listentest.HTTP("")}) }
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		entries [][3]any
		want    string
	}{
		{http(), "no listener in the table"},
		{http([3]any{1, "", nil}), "listener 1: proto is missing"},
		{http([3]any{1, "proto", 7}), "listener 1: proto: string expected, got number"},
		{http([3]any{1, "proto", "tpc"}), `listener 1: unknown proto "tpc" (did you mean "tcp"?)`},
		{http([3]any{1, "proto", "udp"}), `listener 1: unknown proto "udp"`},
		{http([3]any{1, "proto", "tcp4"}), "listener 1: port is missing"},
		{http([3]any{1, "proto", "local"}), "listener 1: path is missing"},
		{http([3]any{1, "proto", "interval"}), "listener 1: delay is missing"},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "prot", 1}), `unknown parameter of proto tcp4: "prot" (did you mean "port"?)`},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "host", "x"}), `unknown parameter of proto tcp4: "host"`},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "port", 65536}), "port: 65536 is not in the range from 0 to 65535"},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "port", 1.5}), "port: 1.5 is not an integer"},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "port", true}), "port: integer or service name expected, got boolean"},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "port", "no-such-service"}), `port: unknown service "no-such-service"`},
		{http([3]any{1, "proto", "tcp4"}, [3]any{1, "port", 1}, [3]any{1, "localhost", "yes"}), "localhost: boolean expected, got string"},
		{http([3]any{1, "proto", "tcp"}, [3]any{1, "port", 1}, [3]any{1, "host", ""}), `host: "" is not an address`},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", long}), "path: 200 bytes long"},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", "@x"}), "is not a path"},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", "x"}, [3]any{1, "mode", "0999"}), "not an octal number"},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", "x"}, [3]any{1, "owner", ""}), "is not a name"},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", "x"}, [3]any{1, "group", 33}), "group: string expected, got number"},
		{http([3]any{1, "proto", "local"}, [3]any{1, "path", "x"}, [3]any{1, "mode", 432}), "mode: string expected, got number"},
		{http([3]any{1, "proto", "tcp"}, [3]any{1, "port", 1}, [3]any{1, "proxy_protocol", "v2"}), "proxy_protocol: boolean expected, got string"},
		{http([3]any{1, "proto", "interval"}, [3]any{1, "delay", 1}, [3]any{1, "proxy_protocol", true}), `unknown parameter of proto interval: "proxy_protocol"`},
		{http([3]any{0, "proxy_protocol", true}), `"proxy_protocol" belongs in a listener's own table`},
		{http([3]any{0, "trusted_proxies", "10.0.0.0/8"}), "option trusted_proxies: table of strings expected, got string"},
		{http([3]any{0, "trusted_proxies\x00", "10.0.0.1/8"}), `option trusted_proxies: "10.0.0.1/8" has bits after its first 8: did you mean "10.0.0.0/8"?`},
		{http([3]any{0, "trusted_proxies\x00", "proxy.example.com"}), `option trusted_proxies: "proxy.example.com" is neither an address`},
		{http([3]any{0, "trusted_proxies\x00", 10}), "option trusted_proxies: string expected, got number"},
		{http([3]any{0, "trusted_proxie", "10.0.0.0/8"}), `did you mean "trusted_proxies"?`},
		{http([3]any{1, "proto", "interval"}, [3]any{1, "delay", 0}), "delay: must be greater than 0"},
		{http([3]any{1, "proto", "interval"}, [3]any{1, "delay", -1}), "delay: must not be negative"},
		{http([3]any{1, "proto", "interval"}, [3]any{1, "delay", 1}), "use a plain function for this listener"},
		{[][3]any{{1, "proto", "interval"}, {1, "delay", 1}, {1, "connect", listentest.HTTP("")}}, "connect is an HTTP handler, but a timer has no requests: use a plain function"},
		{[][3]any{{1, "proto", "interval"}, {1, "delay", 1}, {1, "handler", listentest.HTTP("")}}, "handler is an HTTP handler, but a timer has no requests"},
		{[][3]any{{1, "proto", "main"}, {1, "handler", listentest.HTTP("")}}, "handler is an HTTP handler, but proto main has no requests"},
		{http([3]any{1, "proto", "main"}), "the pool's connect is an HTTP handler, but proto main has no requests"},
		{[][3]any{{1, "proto", "main"}, {1, "delay", 1}, {1, "connect", listentest.Func{}}}, `unknown parameter of proto main: "delay"`},
		{[][3]any{{1, "proto", "main"}, {1, "name", 1}, {1, "connect", listentest.Func{}}}, "name: string expected, got number"},
		{[][3]any{{1, "proto", "main"}}, "there is no connect handler"},
		{[][3]any{{0, "connect", listentest.Func{}}, {0, "max_fork", 1}, {1, "proto", "main"}, {2, "proto", "main"}}, "max_fork (1) is not enough"},
		{[][3]any{{0, "connect", listentest.Func{}}, {0, "max_fork", 1}, {1, "proto", "main"}, {2, "proto", "tcp4"}, {2, "port", 80}},
			"max_fork (1) is not enough: each listener of proto main needs a worker of its own"},
		{[][3]any{{1, "proto", "main"}, {1, "connect", listentest.Func{}}, {1, "handler", listentest.Func{}}}, "connect and handler are two names for the same"},
		{[][3]any{{1, "proto", "tcp4"}, {1, "port", 1}, {1, "handler", listentest.Other("table")}}, `handler: function expected, got "table"`},
		{[][3]any{{1, "proto", "tcp4"}, {1, "port", 1}}, "listener 1: there is no connect handler"},
		{[][3]any{{1, "proto", "tcp4"}, {1, "port", 1}, {1, "connect", listentest.Other("table")}}, `connect: function expected, got "table"`},
		{http([3]any{0, "prefork", 1}), `unknown option "prefork" (did you mean "pre_fork"?)`},
		{http([3]any{0, "conect", 1}), `unknown option "conect" (did you mean "connect"?)`},
		{http([3]any{0, "something", 1}), `unknown option "something"`},
		{http([3]any{0, "pre_fork", "1"}), "option pre_fork: number expected, got string"},
		{http([3]any{0, "max_fork", 0}), "option max_fork: 0 is not in the range from 1 to 1024"},
		{http([3]any{0, "fork_delay", true}), "option fork_delay: number (of seconds) or false expected, got boolean"},
		{http([3]any{0, "fork_delay", 1e12}), "more than ten years"},
		{http([3]any{0, "gone_after", -1}), "option gone_after: must not be negative"},
		{http([3]any{0, "queue_limit", 4097}), "option queue_limit: 4097 is not in the range from 0 to 4096"},
		{http([3]any{0, "min_fork", 5}, [3]any{0, "max_fork", 4}), "min_fork (5) is greater than max_fork (4)"},
		{http([3]any{0, "pre_fork", 5}, [3]any{0, "max_fork", 4}), "pre_fork (5) is greater than max_fork (4)"},
		{http([3]any{0, "memory_limit", 64}), "option memory_limit: 64 is not a number of bytes from 65536 to 1125899906842624"},
		{http([3]any{0, "memory_limit", "64 MB"}), "option memory_limit: number (of bytes) or false expected, got string"},
		{http([3]any{0, "flood_penalty", "no"}), "option flood_penalty: boolean expected, got string"},
		{http([3]any{0, "recycle_on_error", 1}), "option recycle_on_error: boolean expected, got number"},
		{http([3]any{0, "min_requests_per_fork", 0}), "option min_requests_per_fork: 0 is not in the range from 1 to 2147483647"},
		{http([3]any{0, "min_requests_per_fork", 5}, [3]any{0, "max_requests_per_fork", 4}),
			"min_requests_per_fork (5) is greater than max_requests_per_fork (4)"},
		{http([3]any{0, "prepare", 1}), "option prepare: function expected, got number"},
		{http([3]any{0, "selftest", "x"}), "option selftest: function expected, got string"},
		{[][3]any{{1, "proto", "tcp4"}, {1, "port", 1}, {0, "connect", listentest.HTTP("idle_timeout=inf\n")}}, "not a finite number"},
		{[][3]any{{1, "proto", "tcp4"}, {1, "port", 1}, {0, "connect", listentest.HTTP("chunk_size=1\n")}}, `HTTP handler: unknown option "chunk_size"`},
		{[][3]any{{2, "proto", "tcp4"}}, "malformed message"},
	} {
		_, err := Decode(listentest.Message(c.entries...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.entries, err, c.want)
		}
	}
}

// Options of an HTTP handler have no defaults here: each has to be sent, and arrives in its own field.
func TestDecodeHTTPOptions(t *testing.T) {
	text := ""
	for i, name := range listentest.HTTPOptions {
		text += fmt.Sprintf("%s=%d\n", name, i+1)
	}
	const s = time.Second
	want := HTTPOptions{1, 2, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8, true, true, 11 * s, EncodedPass, Compress{true, 14, 9, nil}, Cache{16, 17, 18, 19 * s, true, true}, ""}
	if got, err := newHTTPOptions(text); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	want.StaticHeaders = "A: b=c\r\nD: e\r\n"
	if got, err := newHTTPOptions(text + "\n" + want.StaticHeaders); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("with static headers: %+v, %v", got, err)
	}
	want.Compress.Types = []string{"text/html", "*+json"}
	if got, err := newHTTPOptions(text + "compress_types=text/html *+json\n\n" + want.StaticHeaders); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("with types: %+v, %v", got, err)
	}
	for i, name := range listentest.HTTPOptions {
		without := strings.Replace(text, fmt.Sprintf("%s=%d\n", name, i+1), "", 1)
		_, err := Decode(listentest.Message([3]any{1, "proto", "tcp4"}, [3]any{1, "port", 1},
			[3]any{1, "connect", listentest.HTTPText(without)}))
		if err == nil || !strings.Contains(err.Error(), "missing options: "+name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if len(httpOptions) != len(listentest.HTTPOptions) {
		t.Errorf("%d options are read, %d are tested", len(httpOptions), len(listentest.HTTPOptions))
	}
}

// Whatever a fork server sends, decoding ends with a spec or an error.
func TestDecodeNonsense(t *testing.T) {
	good := listentest.Message(append([][3]any{{0, "pre_fork", 1}}, listentest.Listener...)...)
	for n := range good {
		if _, err := Decode(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
	for range 20000 {
		b := bytes.Clone(good)
		for range 1 + rand.IntN(4) {
			b[rand.IntN(len(b))] = byte(rand.IntN(256))
		}
		if spec, err := Decode(b); err == nil && len(spec.Listeners) == 0 {
			t.Fatalf("%x: nothing and no error", b)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range [][3]string{
		{"abc", "abc", "0"}, {"abc", "acb", "1"}, {"abc", "ab", "1"}, {"", "abc", "3"}, {"kitten", "sitting", "3"},
	} {
		if got := fmt.Sprint(distance(c[0], c[1])); got != c[2] {
			t.Errorf("distance(%q, %q) = %s", c[0], c[1], got)
		}
	}
	if got := Nearest(strings.Repeat("a", 1000), []string{"a"}); got != "" {
		t.Error(got)
	}
}

// What scripts for the later original have: http_options, which say nothing, handler for connect, and proto main.
func TestDecodeLaterNames(t *testing.T) {
	spec, err := Decode(listentest.Message(
		[3]any{0, "http_options", listentest.Other("table")},
		[3]any{1, "proto", "tcp4"}, [3]any{1, "port", 1}, [3]any{1, "handler", listentest.HTTP("")},
		[3]any{2, "proto", "interval"}, [3]any{2, "delay", 1}, [3]any{2, "handler", listentest.Func{}},
		[3]any{3, "proto", "main"}, [3]any{3, "name", "events"}, [3]any{3, "handler", listentest.Func{}},
	))
	if err != nil {
		t.Fatal(err)
	}
	l := spec.Listeners
	if l[0].HTTP == nil || l[1].Raw() || !l[1].Peerless() || !spec.Options.HTTPOptions {
		t.Errorf("%+v", spec)
	}
	if m := l[2]; !m.Main() || m.Raw() || m.Network() != "" || m.Address() != "" || m.String() != `main "events"` {
		t.Errorf("%+v: %s", m, &m)
	}
	if o := spec.Options; o.MinFork != 2 || o.MaxFork != 16 {
		t.Errorf("%d to %d workers", o.MinFork, o.MaxFork)
	}
}

// A pool that has nothing to do but to run main handlers has a worker for each.
func TestDecodeMainDefaults(t *testing.T) {
	mains := [][3]any{{0, "connect", listentest.Func{}}, {1, "proto", "main"}, {2, "proto", "main"}, {3, "proto", "main"}}
	for _, c := range []struct {
		option    [3]any
		min, most int
	}{
		{[3]any{0, "finish", listentest.Func{}}, 3, 3},
		{[3]any{0, "pre_fork", 5}, 5, 5},
		{[3]any{0, "max_fork", 8}, 3, 8},
	} {
		spec, err := Decode(listentest.Message(append(mains, c.option)...))
		if err != nil {
			t.Fatal(err)
		}
		if o := spec.Options; o.MinFork != c.min || o.MaxFork != c.most {
			t.Errorf("%v: %d to %d workers", c.option, o.MinFork, o.MaxFork)
		}
	}
}

// A plain function as the pool's handler serves raw connections and timers.
func TestDecodePlainFunction(t *testing.T) {
	spec, err := Decode(listentest.Message([3]any{0, "connect", listentest.Func{}}, [3]any{1, "proto", "tcp6"}, [3]any{1, "port", 1},
		[3]any{2, "proto", "interval"}, [3]any{2, "delay", 1}, [3]any{3, "proto", "tcp4"}, [3]any{3, "port", 1}, [3]any{3, "connect", listentest.HTTP("")}))
	if err != nil {
		t.Fatal(err)
	}
	if l := spec.Listeners; !l[0].Raw() || l[1].Raw() || l[2].Raw() || l[2].HTTP == nil {
		t.Errorf("listeners %+v", l)
	}
}
