package worker

import (
	"fmt"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// ask sends a request and has the values of expressions told, which are split at ";".
func (w *worker) ask(head, what string) string {
	w.t.Helper()
	line, fields, _ := strings.Cut(head, "\n")
	r := w.do(request{head: line + " HTTP/1.1\nHost: x\nX-What: " + what + "\nWhat: " + what + strings.TrimSuffix("\n"+fields, "\n")})
	return strings.TrimSuffix(r.body(), "\n")
}

func TestRequest(t *testing.T) {
	w := mustLoad(t, "request.lua").fork(0, small)
	long := strings.Repeat("n", 300)
	for _, c := range []struct{ head, what, want string }{
		{"GET /", "request.method;request.path;request.query", "GET\n\n"},
		{"DELETE /a/b%20c?d=e&f", "request.method;request.path;request.query", "DELETE\na/b%20c\n?d=e&f"},
		{"OPTIONS *", "request.method;request.path;request.query", "OPTIONS\nnil\nnil"},
		{"GET http://x/abs?q", "request.path;request.query", "abs\n?q"},
		{"GET /", "request.nonsense;request[5];type(request);tostring(request):match('^request: ')", "nil\nnil\nuserdata\nrequest: "},
		{"GET /", "pcall(function() request.path = 'own' end);request.path;rawequal(request.x, nil)", "true\nown\ntrue"},
		{"GET /", "request.path", ""},
		{"GET /", "request.headers == request.headers", "true"},

		{"GET /\nA: 1\na: 2, 3\nB: x", "request.headers.a;request.headers['A'];request.headers.B;request.headers.none",
			"{1=1 2=2, 3}\n{1=1 2=2, 3}\n{1=x}\n{}"},
		{"GET /\nA: 1\na: 2, 3", "request.headers_value.A;request.headers_value.host;request.headers_value.none", "false\nx\nnil"},
		{"GET /\nB: 1, 2", "request.headers_value.b", "1, 2"},
		{"GET /\nA: 1\na: 2, 3", "request.headers_csv_string.A;request.headers_csv_string.none", "1, 2, 3\n"},
		{"GET /\nA: 1, ,2\na: \"x, \\\"y\" ,3,", "request.headers_csv_table.A;request.headers_csv_table.none",
			"{1=1 2=2 3=\"x, \\\"y\" 4=3}\n{}"},
		{"GET /\nA: Gzip, br\na: x", "request.headers_flags.A.GZIP;request.headers_flags.a.x;request.headers_flags.a.no;request.headers_flags.none.x;request.headers_flags.a",
			"true\ntrue\nfalse\nfalse\n{br=true gzip=true x=true}"},
		{"GET /\nA:\n" + long + ": 1", "request.headers.a;request.headers_csv_table.a;#request.headers['" + strings.ToUpper(long) + "']", "{1=}\n{}\n1"},

		{"GET /?a=1&b=%41+%zz&a=2&c&=d&&", "request.get_params;request.get_params_list;request.get_params.A;request.get_params_list.x",
			"{=d a=1 b=A %zz c=}\n{={1=d} a={1=1 2=2} b={1=A %zz} c={1=}}\nnil\n{}"},
		{"GET /", "request.get_params;request.get_params_list", "{}\n{}"},
		{"GET /?", "request.get_params", "{}"},
		{"OPTIONS *", "request.get_params", "{}"},
		{"GET /\nCookie: a=1; b=\"2\"; a=3\nCookie: c=4; =5; d", "request.cookies;request.cookies.x", "{a=1 b=2 c=4}\nnil"},
		{"GET /", "request.cookies;request.post_params;request.post_params_list;request.post_params_list.x", "{}\n{}\n{}\n{}"},
	} {
		if got := w.ask(c.head, c.what); got != c.want {
			t.Errorf("%s: %s:\n got %q\nwant %q\n%s", c.head, c.what, got, c.want, w.stderr)
		}
	}
}

// pairs() lists what was sent, in lower case.
func TestPairs(t *testing.T) {
	w := mustLoad(t, "request.lua").fork(0, small)
	for field, want := range map[string]string{
		"headers":            "{a={1=x} host={1=x} what={1=%s} x-what={1=%s}}",
		"headers_value":      "{a=x host=x what=%s x-what=%s}",
		"headers_csv_string": "{a=x host=x what=%s x-what=%s}",
		"headers_csv_table":  "{a={1=x} host={1=x} what={1=%s} x-what={1=%s}}",
		"headers_flags":      "{a={x=true} host={x=true} what={%s=true} x-what={%s=true}}",
	} {
		what := "request." + field
		if got := w.ask("GET /\nA: x", what); got != fmt.Sprintf(want, what, what) {
			t.Errorf("%s: %q; want %q", field, got, fmt.Sprintf(want, what, what))
		}
	}
}

// A head larger than the in-window is taken through it in parts; numbers of parameters are bounded.
func TestLargeHead(t *testing.T) {
	w := mustLoad(t, "request.lua").fork(0, windows(4096, 4096))
	long := strings.Repeat("v", 100_000)
	if got := w.ask("GET /p?q\nA: "+long, "#request.headers.a[1];request.path;request.headers_value.host"); got != "100000\np\nx" {
		t.Errorf("%q\n%s", got, w.stderr)
	}
	r := w.do(request{head: "GET /?" + strings.Repeat("a&", 1<<16) + "a HTTP/1.1\nHost: x\nX-What: request.get_params"})
	w.check(r, "", 413<<shm.ResultStatusShift)
	if r := w.last(1); r.Level != shm.LevelInfo || !strings.Contains(r.message, "request: more than 65536 parameters") {
		t.Errorf("reported %+v", r)
	}
	cookies := "\nCookie: " + strings.Repeat("a;", 40_000)
	r = w.do(request{head: "GET / HTTP/1.1\nHost: x\nX-What: request.cookies" + cookies + cookies})
	w.check(r, "", 413<<shm.ResultStatusShift)
}

// The client goes away while its head is on the way.
func TestLargeHeadCancelled(t *testing.T) {
	w := mustLoad(t, "request.lua").fork(0, windows(4096, 4096))
	e := w.start(request{head: "GET / HTTP/1.1\nHost: x\nA: " + strings.Repeat("v", 10_000)})
	e.rest, e.flags = nil, shm.InCancel
	w.check(e.finish(), "", shm.ResultReset)
	if got := w.ask("GET /", "request.method"); got != "GET" {
		t.Errorf("next request: %q", got)
	}
}

func TestMisuse(t *testing.T) {
	w := mustLoad(t, "misuse.lua").fork(0, small)
	w.get("/status_twice")
	for _, c := range []struct{ path, want string }{
		{"status_twice", "send_status: a status has already been sent"},
		{"header_before_status", "send_header: no status has been sent yet"},
		{"data_before_status", "send_data: no status has been sent yet"},
		{"finish_before_status", "finish: no status has been sent yet"},
		{"headers_before_status", "finish_headers: no status has been sent yet"},
		{"header_after_headers", "send_header: the header section is already finished"},
		{"crlf_value", "send_header: a header must not contain control characters such as line breaks"},
		{"crlf_name", "send_header: a header must not contain control characters such as line breaks"},
		{"nul_value", "send_header: a header must not contain control characters such as line breaks"},
		{"control_value", "send_header: a header must not contain control characters such as line breaks"},
		{"del_value", "send_header: a header must not contain control characters such as line breaks"},
		{"name_no_token", "send_header: the name of a header consists of letters, digits and hyphens"},
		{"name_empty", "send_header: the name of a header consists of letters, digits and hyphens"},
		{"length_no_number", "send_header: Content-Length must be a whole number of bytes"},
		{"transfer_encoding", "send_header: Transfer-Encoding is chosen by the server"},
		{"head_too_long", "send_header: the head of the response is too long"},
		{"status_text", "send_status: a status is three digits, optionally followed by a space and a text, as in \"200 OK\""},
		{"status_short", "send_status: a status is three digits, optionally followed by a space and a text, as in \"200 OK\""},
		{"status_long", "send_status: a status is three digits, optionally followed by a space and a text, as in \"200 OK\""},
		{"status_crlf", "send_status: a status must not contain control characters such as line breaks"},
		{"status_control", "send_status: a status must not contain control characters such as line breaks"},
		{"status_600", "send_status: a status is a number from 100 to 599"},
		{"status_type", "bad argument #1 to 'send_status' (string expected, got table)"},
		{"status_101", "send_status: status 101 is not supported"},
		{"no_self", "bad argument #1 to 'send_status' (request expected: call it as a method, with a colon)"},
		{"handler_called", "handler: called while a request is already being handled; only a connect handler may call it, with its socket"},
		{"listen_called", "listen() must be called by the script itself, not from a handler"},
		{"kept", "request: the exchange is over: its handler has returned"},
	} {
		r := w.get("/" + c.path)
		want := "testdata/misuse.lua:"
		if got := r.body(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ": "+c.want) || r.result != shm.ResultDone {
			t.Errorf("%s: result %#x, %q; want %q\n%s", c.path, r.result, got, c.want, w.stderr)
		}
	}
	// After these the body is fixed: the message is in the response's middle, or the data that was asked for.
	for _, c := range []struct{ path, want string }{
		{"header_after_data", "x%ssend_header: the header section is already finished"},
		{"status_after_data", "x%ssend_status: a status has already been sent"},
	} {
		r := w.get("/" + c.path)
		if got := r.body(); !strings.HasPrefix(got, "xtestdata/misuse.lua:") || !strings.HasSuffix(got, c.want[3:]) {
			t.Errorf("%s: %q; want %q", c.path, got, c.want)
		}
	}
	for _, c := range []struct{ path, head, body string }{
		{"length_more", "send_data: more data than the Content-Length that was sent (3)", "123"},
		{"length_less", "finish: less data (2 bytes) than the Content-Length that was sent (3)", "123"},
		{"bodiless_data", "send_data: a response with status 204 has no body", ""},
	} {
		r := w.get("/" + c.path)
		if r.body() != c.body || r.result != shm.ResultDone {
			t.Errorf("%s: %#x %q; want body %q\n%s", c.path, r.result, r.text, c.body, w.stderr)
		}
		if c.path != "length_less" && !strings.Contains(r.text, ": "+c.head+"\r\n") {
			t.Errorf("%s: %q has no %q", c.path, r.text, c.head)
		}
	}
	for _, verb := range []string{"data", "finish"} {
		r := w.get("/interim_" + verb)
		if !strings.HasPrefix(r.text, "HTTP/1.1 103 Early Hints\r\nX-Message: testdata/misuse.lua:") ||
			!strings.HasSuffix(r.text, verb+": status 103 is interim: call finish_headers, then send the final status") {
			t.Errorf("interim_%s: %q", verb, r.text)
		}
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("errors that were caught are in the log: %s", s)
	}
}
