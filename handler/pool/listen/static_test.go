package listen

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/pool/listen/listentest"
)

// rule is an entry for one value of static.
func rule(prefix, option string, v any) [3]any {
	return [3]any{0, "static\x00" + prefix + "\x00" + option, v}
}

func decodeStatic(entries ...[3]any) ([]StaticRule, error) {
	spec, err := Decode(listentest.Message(append(entries, listentest.Listener...)...))
	if err != nil {
		return nil, err
	}
	return spec.Options.Static, nil
}

func TestDecodeStatic(t *testing.T) {
	got, err := decodeStatic(
		rule("/b/", "listing", true), rule("/b/", "", "files"), rule("/a.ico", "", "icon.ico"), rule("/b/", "max_age", 1.5), rule("/b/", "immutable", true),
		rule("/b/", "index", false), rule("/b/", "dotfiles", true), rule("/b/", "symlinks", true), rule("/b/", "missing", 404), rule("/b/", "precompressed", false), rule("/b/", "compress", false),
		rule("/c/", "", "c"), rule("/c/", "index", "start.htm"), rule("/c/", "max_age", false), rule("/c/", "missing", "handler"), rule("/d/", "", "d"),
		rule("/d/", "missing", "404"), rule("/d/", "max_age", 0),
	)
	want := []StaticRule{
		{Prefix: "/a.ico", Path: "icon.ico", Index: "index.html", Precompressed: true, Compress: true},
		{Prefix: "/b/", Path: "files", MaxAge: 1500 * time.Millisecond, HasMaxAge: true, Immutable: true, Listing: true, Dotfiles: true,
			Symlinks: true, NotFound: true},
		{Prefix: "/c/", Path: "c", Index: "start.htm", Precompressed: true, Compress: true},
		{Prefix: "/d/", Path: "d", Index: "index.html", Precompressed: true, Compress: true, NotFound: true, HasMaxAge: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestDecodeStaticMistakes(t *testing.T) {
	many := [][3]any{}
	for i := range staticRulesMax + 1 {
		many = append(many, rule(fmt.Sprintf("/%d/", i), "", "x"))
	}
	for _, c := range []struct {
		entries [][3]any
		want    string
	}{
		{[][3]any{{0, "static", "public"}}, "option static: table expected, got string"},
		{[][3]any{rule("/a/", "", 5)}, `option static: "/a/": the path of a file or directory, or a table expected, got number`},
		{[][3]any{rule("/a/", "", "")}, `option static: "/a/": "" is not the path`},
		{[][3]any{rule("/a/", "", "a\x00b")}, "is not the path"},
		{[][3]any{rule("/a/", "listing", true)}, `option static: "/a/": there is no path`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "maxage", 5)}, `unknown option of static["/a/"]: "maxage" (did you mean "max_age"?)`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "max_age", "1h")}, `option static: "/a/": max_age: number (of seconds) or false expected, got string`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "max_age", -1)}, "must not be negative"},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "listing", 1)}, `option static: "/a/": listing: boolean expected, got number`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "index", true)}, "index: name of a file or false expected, got boolean"},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "index", "a/b")}, `"a/b" is not the name of a file`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "missing", 403)}, `missing: is "handler" or 404`},
		{[][3]any{rule("/a/", "", "a"), rule("/a/", "missing", true)}, `missing: is "handler" or 404`},
		{many, "option static: more than 256 paths"},
	} {
		if _, err := decodeStatic(c.entries...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.entries[0], err, c.want)
		}
	}
	_, err := Decode(listentest.Message(rule("/a/", "", "a"), [3]any{1, "proto", "tcp4"}, [3]any{1, "port", 0}, [3]any{1, "connect", listentest.Func{}}))
	if err == nil || !strings.Contains(err.Error(), "no listener of the pool has an HTTP handler") {
		t.Error(err)
	}
}
