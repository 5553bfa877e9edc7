package main

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
)

var combinedLine = regexp.MustCompile(`^\S+ - - \[[^]]+\] "[^"]*" \d{3} \d+ "[^"]*" "[^"]*" \S+ \S+ \S+ \S+\n$`)

// Whatever a peer sends, its entry is a single printable line with the expected fields.
func FuzzAccessLine(f *testing.F) {
	f.Add([]byte("GET"), []byte("/"), []byte("http://r/"), []byte("agent"))
	f.Add([]byte("G\"T"), []byte("/\n127.0.0.1 - - forged"), []byte("\\"), []byte("\x00\x1b[31m\u009b\u2028\xff\xc3"))
	f.Add([]byte{}, []byte{}, []byte{}, []byte("\U0001F600\U000E0001\ufffd"))
	f.Fuzz(func(t *testing.T, method, target, referer, agent []byte) {
		a := &engine.Access{
			Peer: netip.MustParseAddrPort("[::ffff:192.0.2.7]:4000"), Time: time.Unix(1e9, 0),
			Method: method, Target: target, Minor: 1, Referer: referer, UserAgent: agent, ID: []byte("id-1"),
			Status: 200, Bytes: 5, Queue: -1, Service: time.Millisecond, Total: 3*time.Second + 7*time.Microsecond,
		}
		line := string(accessCombined.append(nil, a, &accessClock{zone: time.UTC}))
		if !combinedLine.MatchString(line) || !strings.HasPrefix(line, "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] ") ||
			!strings.HasSuffix(line, " id-1 - 0.001000 3.000007\n") {
			t.Errorf("%q", line)
		}
		for _, b := range []byte(line[:len(line)-1]) {
			if b < ' ' || b > '~' {
				t.Fatalf("%q", line)
			}
		}
		object := string(accessJSON.append(nil, a, &accessClock{zone: time.UTC}))
		var e entry
		if err := json.Unmarshal([]byte(object), &e); err != nil {
			t.Fatalf("%v: %q", err, object)
		}
		if strings.Count(object, "\n") != 1 || strings.ContainsAny(object, "\x00\x1b\r\u0085\u009b\u2028") {
			t.Errorf("%q", object)
		}
		if e.Client != "192.0.2.7" || e.Port != 4000 || e.Status != 200 || e.Queue != nil || *e.Service != 0.001 || e.Total != 3.000007 {
			t.Errorf("%q", object)
		}
		if text := string(agent); printableText(text) && e.UserAgent != text {
			t.Errorf("user agent %q became %q", text, e.UserAgent)
		}
	})
}

// printableText reports whether a text needs no escaping other than that of JSON.
func printableText(s string) bool {
	for _, r := range s {
		if r < ' ' || r == '\ufffd' || r >= 0x7f {
			return false
		}
	}
	return true
}

// A clock that is used again shows the time of each line, whether the second is the same, later or earlier.
func TestAccessClock(t *testing.T) {
	c := &accessClock{zone: time.FixedZone("", 2*3600)}
	for _, ms := range []int64{0, 999, 1000, 1001, 500, -1, 1e12} {
		at := time.UnixMilli(ms)
		want := at.In(c.zone).Format("02/Jan/2006:15:04:05 -0700")
		if got := string(c.append(nil, at)); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
