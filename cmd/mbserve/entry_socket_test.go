package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talk sends text on a new connection, ends its side, and returns everything that it receives.
func talk(t *testing.T, network, address, text string) string {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// The results of read, lines and readuntil for various formats and the same bytes.
func TestEntrySocketRead(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_read.lua")
	tests := []struct{ formats, text, want string }{
		{"'*l', '*l', '*l'", "one\ntwo\r\nrest", `"one" "two\13" "rest"`},
		{"'l', 'l'", "one\n", `"one" nil`},
		{"'*L', 'L'", "one\nrest", `"one\` + "\n" + `" "rest"`},
		{"", "one\ntwo", `"one"`},
		{"'*n', 'n', '*n'", " 12 -3.5x", `"12" "-3.5" nil`},
		{"'*a'", "a\nb\r\n", `"a\` + "\n" + `b\13\` + "\n" + `"`},
		{"'*a'", "", `""`},
		{"'a', 'l'", "abc", `"abc" nil`},
		{"3, 3, 3", "abcde", `"abc" "de" nil`},
		{"0", "abc", `""`},
		{"0", "", `nil`},
		{"lines = true", "one\n\nthree", `"one" "" "three"`},
		{"readuntil = ';'", "one;two;;rest", `"one;" "two;" ";" "rest" nil`},
		{"readuntil = ';', maxlen = 4", "one;two;three;", `"one;" "two;" "thre" "e;" nil`},
		{"readuntil = '\\0'", "a\x00b", `"a\0" "b" nil`},
		{"readuntil = '\\255'", "a\xffb\xff", "\"a\xff\" \"b\xff\" nil"},
		{"readuntil = ';'", "", `nil`},
		{"readuntil = ';'", strings.Repeat("x", 200000) + ";y", `"` + strings.Repeat("x", 200000) + `;" "y" nil`},
	}
	for _, test := range tests {
		got := talk(t, "tcp", s.tcp(0), test.formats+"\n"+test.text)
		want := strings.ReplaceAll(test.want, `" `, "\"\n") + "\n"
		want = strings.ReplaceAll(want, "nil ", "nil\n")
		// Lua 5.4 escapes fewer characters in quoted strings.
		got = strings.ReplaceAll(strings.ReplaceAll(got, "\r", `\13`), "\x00", `\0`)
		got = strings.ReplaceAll(got, `\13\`+"\n", `\13\`+"\n")
		if got != want {
			t.Errorf("%s of %.40q:\n%.200q, want\n%.200q", test.formats, test.text, got, want)
		}
	}
}

// Addresses consist of exactly the bytes of their family, on raw connections and in requests.
func TestEntrySocketAddresses(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 on this machine: ", err)
	} else {
		ln.Close()
	}
	path := filepath.Join(t.TempDir(), "socket")
	s := start(t, "testdata/entry_address.lua", path)
	for n, ip := range []string{"7f000001 nil", "nil " + strings.Repeat("0", 31) + "1", "7f000001 nil", "nil " + strings.Repeat("0", 31) + "1"} {
		c, err := net.Dial("tcp", s.tcp(n))
		if err != nil {
			t.Fatal(err)
		}
		_, client, _ := net.SplitHostPort(c.LocalAddr().String())
		_, server, _ := net.SplitHostPort(c.RemoteAddr().String())
		if n >= 2 {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		}
		c.SetDeadline(time.Now().Add(patience))
		answer, err := io.ReadAll(c)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if want := ip + " " + server + " " + ip + " " + client; !strings.HasSuffix(strings.TrimSpace(string(answer)), want) {
			t.Errorf("listener %d: %q, want %q", n, answer, want)
		}
	}
	if got, want := talk(t, "unix", path, ""), "nil nil nil nil nil nil\n"; got != want {
		t.Errorf("unix: %q", got)
	}
}

// close waits for a client that reads, and resets one that does not after the timeout.
func TestEntrySocketCloseTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_close.lua")
	p := dial(t, s.tcp(0))
	p.say("50000000 30\n")
	if n, err := io.Copy(io.Discard, p.r); n != 5e7 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	s.wait("close: true nil")
	// This client reads nothing, and its system buffers next to nothing.
	const size = 60000
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", s.tcp(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "%d 0.2\n", size)
	s.wait("close: nil ")
	if n, err := io.Copy(io.Discard, c); n >= size || err == nil {
		t.Errorf("%d bytes, %v; want a reset", n, err)
	}
}

// Objects that a script keeps are detected when they are used after their end.
func TestEntryKeptObjects(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_kept.lua")
	if got, want := get(t, s.url("/")), "own field\nnil\n"; got != want {
		t.Errorf("first: %q", got)
	}
	got := get(t, s.url("/"))
	lines := strings.Split(got, "\n")
	if len(lines) != 6 || lines[0] != "own field" || lines[1] != "nil" {
		t.Fatalf("second: %q", got)
	}
	for i, what := range []string{"request", "request", "socket"} {
		if want := what + ": the exchange is over"; !strings.HasPrefix(lines[2+i], want) {
			t.Errorf("second: %q, want %q", lines[2+i], want)
		}
	}
	for _, want := range []string{"first", "socket: the exchange is over"} {
		if got := talk(t, "tcp", s.tcp(1), ""); !strings.HasPrefix(got, want) {
			t.Errorf("raw: %q, want %q", got, want)
		}
	}
}
