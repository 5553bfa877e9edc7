package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// generate_handler accepts its arguments in either order, and its options in every combination.
func TestEntryGenerateHandler(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_handler.lua")
	for i, want := range []string{"", "2", "3", ""} {
		resp, body, err := fetch("GET", "http://"+s.address(i)+"/", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("X-Order"); got != want || body != "0" {
			t.Errorf("handler %d: X-Order %q and body %q, want %q", i, got, body, want)
		}
	}
}

// chunk_size is the default of the other two sizes.
func TestEntryChunkSize(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_handler.lua")
	for i, want := range map[int]string{0: "1", 4: "10", 5: "20", 6: "5"} {
		_, body, err := fetch("POST", "http://"+s.address(i)+"/", strings.Repeat("x", 100))
		if err != nil || body != want {
			t.Errorf("handler %d: %s pieces, %v, want %s", i, body, err, want)
		}
	}
}

func TestEntryResponseTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_response.lua")
	if got := get(t, s.url("/")); got != "begun" {
		t.Errorf("body %q", got)
	}
	p := dial(t, s.address(0))
	p.get("/slow")
	p.hearsBreak()
}

// The effects of a limit that a handler sets itself.
func TestEntryTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_timeout.lua")
	s.wait("script: timeout: only prepare, connect and finish handlers can set it")
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"off", 200, "off"},
		{"anew", 200, "anew"},
		{"returns", 200, "2xnil"},
		{"over", 200, "over, 0 left"},
		{"nothing", 200, "0"},
		{"raises", 200, "it is broken"},
		{"left", 200, "left to the next request"},
		{"next", 200, "not limited, 0"},
		{"number", 200, "timeout: seconds must be a number, not a string"},
		{"func", 200, "timeout: argument 2 must be a function, not a string"},
		{"ends", 504, "Gateway Timeout\n"},
		{"inner", 504, "Gateway Timeout\n"},
		{"outer", 504, "Gateway Timeout\n"},
	} {
		var resp *http.Response
		var body string
		for range 10 { // a busy machine may stop for so long that a limit is exceeded which the handler lifts at once
			var err error
			if resp, body, err = fetch("GET", s.url("/"+c.path), ""); err != nil {
				t.Fatal(c.path, err)
			}
			if resp.StatusCode == c.status {
				break
			}
		}
		if resp.StatusCode != c.status || body != c.want {
			t.Errorf("%s: %d %q, want %d %q", c.path, resp.StatusCode, body, c.status, c.want)
		}
	}
}

// The addresses that a listener binds.
func TestEntryListeners(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 on this machine: ", err)
	} else {
		ln.Close()
	}
	s := start(t, "testdata/entry_ports.lua")
	for i, want := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "", "::"} {
		host, port, _ := net.SplitHostPort(s.tcp(i))
		if want == "" && (host == "127.0.0.1" || host == "::1") { // the meaning of "localhost" depends on the machine
			want = host
		}
		if host != want || port == "0" {
			t.Errorf("listener %d is at %s, want %s", i, s.tcp(i), want)
		}
	}
	_, port, _ := net.SplitHostPort(s.tcp(3))
	if got := get(t, "http://[::1]:"+port+"/"); got != "tcp6 only" {
		t.Errorf("the listener on IPv6 answers %q", got)
	}
	if servesIPv4(port, "tcp6 only") {
		t.Error("tcp6 takes IPv4")
	}
	_, stderr := runToEnd(t, 3, "testdata/entry_ports.lua", "no-such-service")
	checkMessage(t, stderr, `listen: listener 7: port: unknown service "no-such-service"`)
	// A service name is looked up; whether another program uses the port does not matter here.
	if out, _ := runToEnd(t, 0, "--check", "testdata/entry_ports.lua", "http"); !strings.Contains(out, ":80") {
		t.Errorf("the service http is not port 80:\n%s", out)
	}
}

// Statuses that the server itself sends.
func TestEntryStatus(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_response.lua")
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\n\r\n", 417},
		{"1001 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n", 431},
		{"1000 fields", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + strings.Repeat("A: b\r\n", 998) + "\r\n", 200},
		{"two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
	} {
		p := dial(t, s.address(0))
		p.SetDeadline(time.Now().Add(patience))
		p.say("%s", c.request)
		p.hears(c.status)
		p.Close()
	}
}
