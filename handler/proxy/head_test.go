package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/forwarded"
	"moonbridge/handler/upstream"
)

// sent sends a request, and returns what the target gets.
func sent(t *testing.T, c Config, request string) string {
	t.Helper()
	heads := make(chan string, 10)
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			if h == "" {
				return
			}
			heads <- strings.ReplaceAll(h, p.LocalAddr().String(), "TARGET")
			p.send(ok(""))
		}
	})
	r := newRig(t, rigOptions{Config: c}, a)
	got := r.dial(request).reply("GET")
	if got.status != 200 {
		return fmt.Sprintf("status %d", got.status)
	}
	return <-heads
}

func trusted(t *testing.T, list ...string) *forwarded.Trusted {
	t.Helper()
	trusted, err := forwarded.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// Row: fields about the connection, and fields that others could understand differently.
func TestRequestHead(t *testing.T) {
	plain := Config{Forward: Forwarding{None: true}}
	for _, tt := range []struct {
		name          string
		config        Config
		request, want string
	}{
		{"hop-by-hop", plain,
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Authorization: y\r\n" +
				"Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nB: 2\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nB: 2\r\n\r\n"},
		{"Host cannot be named by Connection", plain,
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: host, content-length\r\nContent-Length: 0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"TE: trailers", plain,
			"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers, gzip;q=0.5\r\nConnection: TE\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
		{"no Host", plain, "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: TARGET\r\n\r\n"},
		{"empty Host", plain, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: TARGET\r\n\r\n"},
		{"Host of the target", Config{Host: HostTarget, Forward: Forwarding{None: true}},
			"GET / HTTP/1.1\r\nA: 1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: TARGET\r\nA: 1\r\n\r\n"},
		{"absolute target", plain,
			"GET http://y/p?q HTTP/1.1\r\nA: 1\r\nHost: x\r\nB: 2\r\n\r\n", "GET /p?q HTTP/1.1\r\nHost: y\r\nA: 1\r\nB: 2\r\n\r\n"},
		{"absolute target without a path", plain, "GET http://y HTTP/1.1\r\nHost: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: y\r\n\r\n"},
		{"asterisk", plain, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"underscore", plain, "GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\nX-B: 2\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-B: 2\r\n\r\n"},
		{"underscore, passed", Config{Underscores: true, Forward: Forwarding{None: true}},
			"GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\n\r\n"},
		{"Via", Config{Via: "moon", Forward: Forwarding{None: true}},
			"GET / HTTP/1.0\r\nHost: x\r\nVia: 1.1 a\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nVia: 1.1 a\r\nVia: 1.0 moon\r\n\r\n"},
		{"what the client says of itself", Config{},
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: y\r\nX-Forwarded-Port: 1\r\n" +
				"X-Forwarded-Prefix: /z\r\nX-Real-IP: 2.2.2.2\r\nForwarded: for=3.3.3.3\r\nA: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n"},
		{"what a trusted proxy says", Config{Forward: Forwarding{Trusted: trusted(t, "127.0.0.0/8"), Proto: "https"}},
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Host: y\r\nForwarded: for=3.3.3.3\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: y\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n" +
				"Forwarded: for=3.3.3.3, for=127.0.0.1;host=\"x\";proto=https\r\n\r\n"},
		{"another proxy is not trusted", Config{Forward: Forwarding{Trusted: trusted(t, "10.0.0.0/8")}},
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n"},
		{"Forwarded", Config{Forward: Forwarding{Forwarded: true}},
			"GET / HTTP/1.1\r\nHost: x:8080\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x:8080\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x:8080\r\n" +
				"Forwarded: for=127.0.0.1;host=\"x:8080\";proto=http\r\n\r\n"},
		{"nothing of the client", plain,
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"},
		{"too many options", plain, "GET / HTTP/1.1\r\nHost: x\r\nConnection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", "status 400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sent(t, tt.config, tt.request); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestEdit(t *testing.T) {
	c := Config{Forward: Forwarding{None: true}, Edit: func(q *Request) {
		if string(q.Path()) != "api/x" || q.Client().Addr() != netip.MustParseAddr("127.0.0.1") {
			q.Refuse(500)
		}
		for _, err := range []error{
			q.SetTarget("/x?y=1"), q.SetHost("inner"), q.Set("A", "3"), q.Set("a", "4"), q.Set("New", "5"), q.Drop("B"), q.Drop("None"),
		} {
			if err != nil {
				q.Refuse(500)
			}
		}
		for _, err := range []error{
			q.SetTarget("x"), q.SetTarget("/a b"), q.SetTarget("/a\r\nB: c"), q.SetTarget(""), q.SetHost(""), q.SetHost("a\r\nB: c"), q.SetHost("a b"), q.SetHost("user@a"), q.SetHost("a:b"),
			q.Set("Host", "x"), q.Set("Content-Length", "1"), q.Set("Transfer-Encoding", "chunked"), q.Set("Connection", "close"),
			q.Set("A b", "c"), q.Set("A", "b\nc"), q.Drop("Content-Length"),
		} {
			if err == nil {
				q.Refuse(501)
			}
		}
	}}
	got := sent(t, c, "GET /api/x HTTP/1.1\r\nHost: x\r\nA: 1\r\nC: 9\r\na: 2\r\nB: 0\r\n\r\n")
	if want := "GET /x?y=1 HTTP/1.1\r\nHost: inner\r\nC: 9\r\na: 4\r\nNew: 5\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A field that Edit has set or dropped is as it says, though the proxy would add one itself. So it is with those of a response.
func TestEditDecides(t *testing.T) {
	c := Config{Forward: Forwarding{Forwarded: true}, Via: "moon", Edit: func(q *Request) {
		for name, value := range map[string]string{"Via": "1.1 a", "X-Forwarded-For": "192.0.2.1", "x-forwarded-proto": "https", "X-Forwarded-Host": "a", "forwarded": "for=192.0.2.1"} {
			if err := q.Set(name, value); err != nil {
				q.Refuse(500)
			}
			if string(q.Path()) == "drop" {
				q.Drop(name)
			}
		}
	}}
	got := strings.Split(strings.TrimSuffix(sent(t, c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: z\r\n\r\n"), "\r\n\r\n"), "\r\n")
	slices.Sort(got)
	want := []string{"GET / HTTP/1.1", "Host: x", "Via: 1.1 a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: a", "forwarded: for=192.0.2.1", "x-forwarded-proto: https"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := sent(t, c, "GET /drop HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: z\r\n\r\n"); got != "GET /drop HTTP/1.1\r\nHost: x\r\n\r\n" {
		t.Errorf("%q", got)
	}

	r := newRig(t, rigOptions{Config: Config{Answer: func(_ *Request, p *Response) error { return p.Set("Date", "y") }}},
		newTarget(t, answering("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n")))
	if got := r.get(); !slices.Equal(got.header["Date"], []string{"y"}) {
		t.Errorf("%v", got.header)
	}
}

// The functions of a Config: routing, refusal, changes of a response, another status for a failure.
func TestHooks(t *testing.T) {
	a := newTarget(t, answering("HTTP/1.1 200 OK\r\nDate: x\r\nServer: secret\r\nX-A: 1\r\nContent-Length: 1\r\n\r\na"))
	b := newTarget(t, answering("HTTP/1.1 500 Oops\r\nDate: x\r\nContent-Length: 1\r\n\r\nb"))
	good := newTarget(t, answering(ok("good")))
	sets := make(map[string]*upstream.Set)
	for name, list := range map[string][]*target{"a": {a}, "b": {b}, "bg": {b, good}, "none": {}} {
		s, err := upstream.New(upstream.Options{Balance: upstream.RoundRobin()})
		if err != nil {
			t.Fatal(err)
		}
		var targets []upstream.Target
		for _, one := range list {
			targets = append(targets, upstream.Target{Addr: one.addr()})
		}
		if err := s.Replace(targets...); err != nil {
			t.Fatal(err)
		}
		sets[name] = s
	}
	r := newRig(t, rigOptions{Config: Config{
		To: func(q *Request) *upstream.Set {
			name := string(q.Path())
			q.Value = name
			if name == "forbidden" {
				q.Refuse(403)
			}
			return sets[name]
		},
		Answer: func(q *Request, p *Response) error {
			if q.Head() != nil || !strings.HasPrefix(string(q.Line()), "GET /") || q.Target() == "" {
				return fmt.Errorf("the request line is %q", q.Line())
			}
			if p.Head().Status == 500 {
				return ErrRetry
			}
			if err := p.Drop("Server"); err != nil {
				return err
			}
			return p.Set("X-Path", q.Value.(string))
		},
		Failed: func(q *Request, err error) int {
			if q.Value == "none" {
				return 404
			}
			return 0
		},
	}})
	got := r.ask("GET", "/a")
	got.want(t, 200, "a")
	if got.header.Get("Server") != "" || got.header.Get("X-Path") != "a" || got.header.Get("X-A") != "1" {
		t.Errorf("fields %v", got.header)
	}
	r.ask("GET", "/bg").want(t, 200, "good")
	for path, status := range map[string]int{"/b": 502, "/none": 404, "/forbidden": 403, "/other": 503} {
		if got := r.ask("GET", path); got.status != status {
			t.Errorf("%s: status %d, want %d", path, got.status, status)
		}
	}
}

// Row: trailers, both ways. A client that does not ask for them does not get any.
func TestResponseTrailers(t *testing.T) {
	a := newTarget(t, answering("HTTP/1.1 200 OK\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: t\r\nContent-Length: 5\r\n\r\n"))
	r := newRig(t, rigOptions{}, a)
	got := r.get("TE: trailers")
	got.want(t, 200, "x")
	if got.trailer.Get("T") != "t" || len(got.trailer) != 1 {
		t.Errorf("trailers %v", got.trailer)
	}
	got = r.get()
	got.want(t, 200, "x")
	if len(got.trailer) != 0 {
		t.Errorf("trailers %v that were not asked for", got.trailer)
	}
}

func TestConnectMethod(t *testing.T) {
	a := newTarget(t, answering(ok("")))
	r := newRig(t, rigOptions{}, a)
	if got := r.dial("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n").reply("GET"); got.status != 501 {
		t.Errorf("status %d", got.status)
	}
	if a.accepted() != 0 {
		t.Error("CONNECT has reached the target")
	}
}

// Row: Max-Forwards. It is counted for OPTIONS and TRACE, and with 0 the request is not sent on.
func TestMaxForwards(t *testing.T) {
	for _, tt := range []struct {
		method, value string
		want          string // what the target gets; a status: nothing
	}{
		{"OPTIONS", "5", "4"},
		{"TRACE", "1", "0"},
		{"OPTIONS", "99999999999999999999", "9223372036854775806"},
		{"GET", "0", "0"},
		{"OPTIONS", "0", "status 204"},
		{"TRACE", "0", "status 501"},
		{"OPTIONS", "-1", "status 400"},
		{"OPTIONS", "", "status 400"},
		{"OPTIONS", "3\r\nMax-Forwards: 3", "status 400"},
	} {
		got := sent(t, Config{}, tt.method+" / HTTP/1.1\r\nHost: x\r\nMax-Forwards: "+tt.value+"\r\n\r\n")
		if !strings.HasPrefix(got, "status") {
			_, got, _ = strings.Cut(got, "\r\nMax-Forwards: ")
			got, _, _ = strings.Cut(got, "\r\n")
		}
		if got != tt.want {
			t.Errorf("%s with %q: %q, want %q", tt.method, tt.value, got, tt.want)
		}
	}
	// Edit may decide, and the answer of the proxy leaves the client's connection open.
	r := newRig(t, rigOptions{Config: Config{Edit: func(q *Request) {
		if string(q.Head().Bytes(q.Head().Path)) == "edit" {
			q.Set("Max-Forwards", "7")
		}
	}}}, newTarget(t, echo))
	c := r.dial(strings.Repeat("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", 2))
	c.reply("OPTIONS").want(t, 204, "")
	c.reply("OPTIONS").want(t, 204, "")
	c.Close()
	if got := r.ask("OPTIONS", "/edit", "Max-Forwards: 0"); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
}

// What a trusted proxy says about the client stays, though the client has named it in Connection.
func TestForwardedNamedByConnection(t *testing.T) {
	c := Config{Forward: Forwarding{Trusted: trusted(t, "127.0.0.1")}}
	got := sent(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Forwarded-For, X-Forwarded-Proto, Forwarded\r\n"+
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n\r\n")
	for _, want := range []string{"X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n", "X-Forwarded-Proto: https\r\n", "Forwarded: for=192.0.2.1, for=127.0.0.1;"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}
