package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

func TestScriptErrors(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"syntax_error.lua", "testdata/syntax_error.lua:1: unexpected symbol near '='"},
		{"runtime_error.lua", "testdata/runtime_error.lua:2: cannot load\nstack traceback:\n"},
		{"error_table.lua", "error object of type table: code = 5\nstack traceback:\n"},
		{"absent.lua", "cannot open testdata/absent.lua"},
		{"exit.lua", "exit status 5: "},
	} {
		if _, err := load(t, c.script, nil); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.script, err, c.want)
		}
	}
}

func TestNoListen(t *testing.T) {
	f := mustLoad(t, "no_listen.lua")
	if len(f.listens) != 0 {
		t.Errorf("%d listen{} calls", len(f.listens))
	}
	f.out.wait(t, "no listener\n")
}

// Without its variable the program is itself, and the variable does not reach what the script starts.
func TestNoForkServer(t *testing.T) {
	if os.Getenv(shm.Env) != "" {
		t.Errorf("%s is set", shm.Env)
	}
}

func TestGlobals(t *testing.T) {
	f := mustLoad(t, "globals.lua", "one", "two")
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"args\tone\ttwo\t2\ttestdata/globals.lua\tone\ttwo\n",
		"version\t1.2 test\n",
		"pack\t3\t4\t5\n",
		"rawlen\t2\t3\tfalse\tbad argument #1",
		"path\t" + dir + "/?.lua;" + dir + "/?/init.lua;",
		"cpath\t" + dir + "/?.so;",
		"module\tmodule beside the script\n",
	} {
		f.out.wait(t, want)
	}
	for _, dir := range []string{"/usr/share/lua/%s/?.lua", "/usr/local/share/lua/%s/?.lua", "/usr/local/lib/lua/%s/?.so"} {
		dir = fmt.Sprintf(dir, luaModules)
		if n := strings.Count(f.out.String(), dir); n != 1 {
			t.Errorf("search paths have %d times %s:\n%s", n, dir, f.out)
		}
	}
}

func TestListen(t *testing.T) {
	refuse := func(n int, e []entry) string {
		for _, e := range e {
			if e.key == "port" && e.value == "81" {
				return "port 81: permission denied"
			}
		}
		return ""
	}
	f, err := load(t, "listen.lua", refuse)
	if want := "testdata/listen.lua:22: port 81: permission denied\nstack traceback:"; err == nil ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
	out := f.out.all(t)
	const example = "false\tlisten: one table expected, as in listen{ { proto = \"tcp4\", port = 8080 }, connect = handler }, got "
	for _, want := range []string{
		example + "no value\n",
		example + "number\n",
		"false\tlisten: listener 1 is a string, not a table\n",
		"false\tlisten: listener 1 has an unexpected entry [1]: values need names, as in { proto = \"tcp4\", port = 8080 }\n",
		"false\tlisten: the table has a boolean as a key\n",
		"false\tlisten: the table has an unexpected entry [7]: values need names, as in { proto = \"tcp4\", port = 8080 }\n",
		"false\tport 81: permission denied\n",
		"false\tlisten: more than 1048576 bytes of options\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output has no %q:\n%s", want, out)
		}
	}
	if len(f.listens) != 1 {
		t.Fatalf("%d listen{} calls succeeded; want 1", len(f.listens))
	}
	want := []entry{
		{1, shm.TypeString, "proto", "tcp4"}, {1, shm.TypeNumber, "port", "80"},
		{1, shm.TypeBool, "localhost", "1"}, {1, shm.TypeString, "path", "a\x00b"},
		{2, shm.TypeNone, "", ""},
		{0, shm.TypeNumber, "pre_fork", "2"}, {0, shm.TypeNumber, "fork_delay", "0.10000000000000001"},
		{0, shm.TypeBool, "idle_timeout", "0"}, {0, shm.TypeFunc, "prepare", ""},
		{0, shm.TypeOther, "memory_limit", "table"},
		{0, shm.TypeHTTP, "connect", "request_body_size_limit=67108864\nrequest_header_size_limit=1048576\n" +
			"idle_timeout=0\nrequest_header_timeout=120\nstall_timeout=60\nresponse_timeout=3600\ndrain_timeout=0.5\n" +
			"buffer_response=1073741824\nstream_body=0\non_client_gone=1\nclient_gone_timeout=0.5\n" +
			"encoded_body=0\ncompress=0\ncompress_min_bytes=1024\ncompress_level=0\n" +
			"cache=0\ncache_bytes=67108864\ncache_entry_bytes=1048576\ncache_wait=5\ncache_status=0\ncache_directives=1\n\n"},
	}
	got := f.listens[0]
	order := func(a, b entry) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("LISTEN:\n got %v\nwant %v", got, want)
	}
}

func TestOptions(t *testing.T) {
	f := mustLoad(t, "options.lua")
	lines := strings.Split(strings.TrimSpace(f.out.String()), "\n")
	const must = "false\tgenerate_handler: option "
	want := []string{
		"true\tfunction", "true\tfunction", "true\tfunction",
		"false\tgenerate_handler: there is no callback function among the arguments",
		"false\tgenerate_handler: there is no callback function among the arguments",
		"false\tgenerate_handler: options must be a table, not a number",
		"false\tgenerate_handler: unknown option 'nonsense'; valid options are static_headers, post_stream_style, compress, cache, request_body_size_limit, " +
			"request_header_size_limit, chunk_size, maximum_input_chunk_size, minimum_output_chunk_size, idle_timeout, " +
			"request_header_timeout, stall_timeout, response_timeout, drain_timeout, buffer_response, stream_body, on_client_gone, client_gone_timeout, encoded_body",
		"false\tgenerate_handler: options need names, as in { chunk_size = 4096 }; got a number as a key",
		must + "'chunk_size' is out of range (a whole number of at least 1)",
		must + "'chunk_size' must be a number of bytes, not a string",
		must + "'minimum_output_chunk_size' is out of range (a whole number of at least 1)",
		must + "'maximum_input_chunk_size' is out of range (a whole number of at least 1)",
		must + "'request_body_size_limit' is out of range (a whole number of at least 1)",
		must + "'request_header_size_limit' is out of range (a whole number of at least 1)",
		must + "'idle_timeout' is out of range (0 to 1e9 seconds)",
		must + "'stall_timeout' must be a number of seconds or false, not a boolean",
		must + "'response_timeout' must be a number of seconds or false, not a string",
		must + "'buffer_response' must be a number of bytes or false, not a boolean",
		must + "'buffer_response' is out of range (a whole number of at least 0)",
		must + "'stream_body' must be a boolean, not a number",
		must + "'on_client_gone' must be \"ignore\" or \"error\", not a boolean",
		must + "'on_client_gone' must be \"ignore\" or \"error\"",
		must + "'client_gone_timeout' must be a number of seconds or false, not a string",
		must + "'post_stream_style' must be \"1.0\" or false",
		must + "'post_stream_style' must be \"1.0\" or false",
		must + "'static_headers' must be a string or a table, not a number",
		must + "'static_headers': a line without a colon: 'no colon'",
		must + "'static_headers': a header must not contain control characters such as line breaks",
		must + "'static_headers': a header must not contain control characters such as line breaks",
		must + "'static_headers': key and value must be strings",
		must + "'static_headers': key and value must be strings",
		must + "'static_headers': entry 1 is a boolean",
		must + "'static_headers': Content-Length depends on the response",
		must + "'static_headers': Transfer-Encoding depends on the response",
		must + "'encoded_body' must be \"refuse\", \"decode\" or \"pass\", not a boolean",
		must + "'encoded_body' must be \"refuse\", \"decode\" or \"pass\"",
		must + "'compress' must be a boolean or a table, not a string",
		must + "'compress' has 'types', 'min_bytes' and 'level'; got 'kind'",
		must + "'compress' has 'types', 'min_bytes' and 'level'; got 'number'",
		must + "'compress': 'level' must be a whole number from 1 to 9",
		must + "'compress': 'level' must be a whole number from 1 to 9",
		must + "'compress': 'min_bytes' must be a number of bytes",
		must + "'compress': 'types' must be a table, not a string",
		must + "'compress': 'types' is empty",
		must + "'compress': entry 2 of 'types' is not a media type, such as \"text/html\", \"text/*\" or \"*+json\"",
		must + "'compress': entry 1 of 'types' is not a media type, such as \"text/html\", \"text/*\" or \"*+json\"",
		must + "'compress': 'types' is longer than 8192 bytes",
	}
	for i := range max(len(want), len(lines)) {
		if i >= len(want) || i >= len(lines) || lines[i] != want[i] {
			t.Fatalf("line %d:\n got %q\nwant %q", i+1, lines[min(i, len(lines)-1):], want[min(i, len(want)-1):])
		}
	}
}

func TestStaticHeaders(t *testing.T) {
	w := mustLoad(t, "static_headers.lua").fork(0, small)
	const end = "A: b\nDate: X\nContent-Length: 0\n\n"
	for i, want := range []string{
		"Server: x\n" + end, "Server: x\nY: z\n" + end, "Server: x\nY: z\n" + end, "Server: x\nY: 1\n" + end,
		"Server: x\n" + end, "Y: z\nServer: x\n" + end,
	} {
		w.check(w.do(request{head: "GET /", listener: uint16(i)}), "HTTP/1.1 200 OK\n"+want, 0)
	}
	w.check(w.do(request{head: "GET /", listener: 6}),
		"HTTP/1.1 200 OK\nDate: today\nA: b\nContent-Length: 0\nConnection: close\n\n", shm.ResultClose)
	// Not in an interim response.
	r := w.do(request{head: "GET /hints"})
	if want := "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nServer: x\r\nA: b\r\nDate: X\r\nContent-Length: 0\r\n\r\n"; r.text != want {
		t.Errorf("%q; want %q", r.text, want)
	}
}

// A finalizer that runs while a handler is made may make one, too. Each has its own options.
func TestOptionsWithFinalizers(t *testing.T) {
	f := mustLoad(t, "finalizer_headers.lua")
	w := f.fork(0, small)
	w.check(w.do(request{head: "GET /"}), "HTTP/1.1 200 OK\nX-Outer: outer\nDate: X\nContent-Length: 0\n\n", 0)
	if text := fmt.Sprintf("%+v", f.listens); !strings.Contains(text, "X-Outer: outer") || !strings.Contains(text, "text/outer") || strings.Contains(text, "inner") {
		t.Errorf("%s", text)
	}
}
