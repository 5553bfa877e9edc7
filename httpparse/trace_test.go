package httpparse

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

const (
	aTrace = "0af7651916cd43dd8448eb211c80319c"
	aSpan  = "b7ad6b7169203331"
	aValue = "00-" + aTrace + "-" + aSpan + "-01"
)

// Each part of a traceparent can be wrong in each way that the specification names, and in some that it does not.
func TestParseTraceparent(t *testing.T) {
	for _, c := range []struct {
		what, value string
		flags       int // -1: invalid
	}{
		{"sampled", aValue, 1},
		{"not sampled", "00-" + aTrace + "-" + aSpan + "-00", 0},
		{"random", "00-" + aTrace + "-" + aSpan + "-03", 3},
		{"unknown flags are dropped", "00-" + aTrace + "-" + aSpan + "-ff", 3},
		{"another version", "01-" + aTrace + "-" + aSpan + "-01", 1},
		{"another version with more", "cc-" + aTrace + "-" + aSpan + "-01-what-the-future-will-be-like", 1},
		{"another version with an empty part", "cc-" + aTrace + "-" + aSpan + "-01-", 1},
		{"another version with more, without a dash", "cc-" + aTrace + "-" + aSpan + "-01.what", -1},
		{"another version, too short", "cc-" + aTrace + "-" + aSpan + "-0", -1},
		{"version ff", "ff-" + aTrace + "-" + aSpan + "-01", -1},
		{"version 00 with more", aValue + "-more", -1},
		{"version 00 with a dash", aValue + "-", -1},
		{"version in capitals", "CC-" + aTrace + "-" + aSpan + "-01", -1},
		{"version of one digit", "0-" + aTrace + "-" + aSpan + "-01", -1},
		{"version of three digits", "000-" + aTrace + "-" + aSpan + "-01", -1},
		{"version is no number", ".0-" + aTrace + "-" + aSpan + "-01", -1},
		{"trace of zeros", "00-" + strings.Repeat("0", 32) + "-" + aSpan + "-01", -1},
		{"trace in capitals", "00-" + strings.ToUpper(aTrace) + "-" + aSpan + "-01", -1},
		{"trace is no number", "00-." + aTrace[1:] + "-" + aSpan + "-01", -1},
		{"trace too short", "00-" + aTrace[1:] + "-" + aSpan + "-01", -1},
		{"trace too long", "00-" + aTrace + "0-" + aSpan + "-01", -1},
		{"span of zeros", "00-" + aTrace + "-0000000000000000-01", -1},
		{"span in capitals", "00-" + aTrace + "-" + strings.ToUpper(aSpan) + "-01", -1},
		{"span is no number", "00-" + aTrace + "-" + aSpan[:15] + "g-01", -1},
		{"span too short", "00-" + aTrace + "-" + aSpan[1:] + "-01", -1},
		{"span too long", "00-" + aTrace + "-" + aSpan + "0-01", -1},
		{"flags in capitals", "00-" + aTrace + "-" + aSpan + "-0A", -1},
		{"flags of one digit", "00-" + aTrace + "-" + aSpan + "-1", -1},
		{"flags are no number", "00-" + aTrace + "-" + aSpan + "-0x", -1},
		{"no flags", "00-" + aTrace + "-" + aSpan, -1},
		{"underscores", strings.ReplaceAll(aValue, "-", "_"), -1},
		{"two in one", aValue + "," + aValue, -1},
		{"empty", "", -1},
		{"dashes", "---", -1},
	} {
		got, ok := ParseTraceparent([]byte(c.value))
		if ok != (c.flags >= 0) {
			t.Errorf("%s: %q: valid: %v", c.what, c.value, ok)
			continue
		}
		want := fmt.Sprintf("00-%s-%s-%02x", aTrace, aSpan, c.flags)
		if text := string(got.Append(nil)); ok && text != want {
			t.Errorf("%s: %s, want %s", c.what, text, want)
		}
		if !ok && got != (Traceparent{}) {
			t.Errorf("%s: %+v of an invalid one", c.what, got)
		}
	}
}

// stateHead is a head with these tracestate fields.
func stateHead(t testing.TB, values ...string) *Head {
	text := "GET / HTTP/1.1\r\nHost: h\r\n"
	for _, v := range values {
		text += "TraceState: " + v + "\r\n"
	}
	h := new(Head)
	var p Parser
	if n, err := p.Parse(h, []byte(text+"\r\n"), &Limits{}); n == 0 || err != nil {
		t.Skip("no head: ", err)
	}
	return h
}

func TestTracestate(t *testing.T) {
	members := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("k%d=v", i))
		}
		return strings.Join(list, ",")
	}
	long := func(c string, n int) string { return strings.Repeat(c, n) }
	for _, c := range []struct {
		values []string
		want   string // "-": invalid
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"foo=1"}, "foo=1"},
		{[]string{"foo=1,bar=2", "rojo=1", "congo=2"}, "foo=1,bar=2,rojo=1,congo=2"},
		{[]string{"foo=1 \t , \t bar=2, \t baz=3"}, "foo=1,bar=2,baz=3"},
		{[]string{"foo=1,", "", ",bar=2"}, "foo=1,bar=2"},
		{[]string{"foo=a b"}, "foo=a b"},
		{[]string{"foo= a"}, "foo= a"},
		{[]string{"foo=" + long("v", 256)}, "foo=" + long("v", 256)},
		{[]string{"foo=" + long("v", 257)}, "-"},
		{[]string{"foo=1,foo=1"}, "-"},
		{[]string{"foo=1", "bar=2,foo=2"}, "-"},
		{[]string{"foo=1,foobar=2,o=3"}, "foo=1,foobar=2,o=3"},
		{[]string{"foo"}, "-"},
		{[]string{"foo="}, "-"},
		{[]string{"=1"}, "-"},
		{[]string{"foo=1=2"}, "-"},
		{[]string{"foo =1"}, "-"},
		{[]string{"FOO=1"}, "-"},
		{[]string{"foo.bar=1"}, "-"},
		{[]string{"0foo=1"}, "-"},
		{[]string{"abcdefghijklmnopqrstuvwxyz0123456789_-*/=\"'!$%&/()[]{}~"}, "abcdefghijklmnopqrstuvwxyz0123456789_-*/=\"'!$%&/()[]{}~"},
		{[]string{"foo=\xc3\xa4"}, "-"},
		{[]string{"foo@bar=1,0x@y=2"}, "foo@bar=1,0x@y=2"},
		{[]string{"@bar=1"}, "-"},
		{[]string{"foo@=1"}, "-"},
		{[]string{"foo@@bar=1"}, "-"},
		{[]string{"foo@bar@baz=1"}, "-"},
		{[]string{"foo@0bar=1"}, "-"},
		{[]string{long("z", 256) + "=1"}, long("z", 256) + "=1"},
		{[]string{long("z", 257) + "=1"}, "-"},
		{[]string{long("t", 241) + "@" + long("v", 14) + "=1"}, long("t", 241) + "@" + long("v", 14) + "=1"},
		{[]string{long("t", 242) + "@v=1"}, "-"},
		{[]string{"t@" + long("v", 15) + "=1"}, "-"},
		{[]string{members(32)}, members(32)},
		{[]string{members(33)}, "-"},
		{[]string{long(",", 100) + "a=1"}, "a=1"},
	} {
		got, ok := stateHead(t, c.values...).AppendTracestate([]byte("before "))
		if want := "before " + strings.TrimPrefix(c.want, "-"); ok != (c.want != "-") || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", c.values, got, ok, want)
		}
	}
	if _, ok := stateHead(t, "a="+long("v", 256), "b="+long("v", 256), "c="+long("v", 256), "d="+long("v", 256), "e="+long("v", 256),
		"f="+long("v", 256), "g="+long("v", 256), "h="+long("v", 256)).AppendTracestate(nil); ok {
		t.Error("no bound on a tracestate")
	}
}

func TestTraceText(t *testing.T) {
	text := TraceText(aValue + "foo=1")
	if got := fmt.Sprintf("%s %s %s", text.TraceID(), text.Traceparent(), text.Tracestate()); got != aTrace+" "+aValue+" foo=1" {
		t.Error(got)
	}
	for _, none := range []TraceText{nil, TraceText("short")} {
		if none.TraceID() != nil || none.Traceparent() != nil || none.Tracestate() != nil {
			t.Errorf("%q has parts", none)
		}
	}
}

// FuzzTraceparent compares with a parser that is written in another way: by parts.
func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(aValue), []byte("foo=1,bar@x=2"))
	f.Add([]byte("cc-"+aTrace+"-"+aSpan+"-01-more"), []byte(",,a=b"))
	f.Fuzz(func(t *testing.T, value, state []byte) {
		got, ok := ParseTraceparent(value)
		want, wantOK := parseByParts(string(value))
		if ok != wantOK || string(got.Append(nil)) != want && ok {
			t.Fatalf("%q: %s, %v; want %s, %v", value, got.Append(nil), ok, want, wantOK)
		}
		if bytes.ContainsAny(state, "\r\n") {
			return
		}
		list, ok := stateHead(t, string(state)).AppendTracestate(nil)
		if !ok {
			return
		}
		again, ok := stateHead(t, string(list)).AppendTracestate(nil)
		if !ok || !bytes.Equal(again, list) {
			t.Fatalf("%q: %q, then %q, %v", state, list, again, ok)
		}
	})
}

func parseByParts(s string) (text string, ok bool) {
	parts := strings.SplitN(s, "-", 5)
	if len(parts) < 4 || parts[0] == "00" && len(parts) > 4 || parts[0] == "ff" {
		return "", false
	}
	for i, n := range []int{1, 16, 8, 1} {
		b, err := hex.DecodeString(parts[i])
		if err != nil || len(b) != n || strings.ToLower(parts[i]) != parts[i] || n > 1 && len(bytes.Trim(b, "\x00")) == 0 {
			return "", false
		}
		if i == 3 {
			text = fmt.Sprintf("00-%s-%s-%02x", parts[1], parts[2], b[0]&3)
		}
	}
	return text, true
}
