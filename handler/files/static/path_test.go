package static

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ in, want string }{ // "!": the path is not that of a file
		{"/", "/"}, {"/a", "/a"}, {"/a/", "/a/"}, {"/a/b.txt", "/a/b.txt"}, {"/a.b", "/a.b"}, {"/.a", "/.a"}, {"/..a", "/..a"},
		{"/...", "/..."}, {"/a...", "/a..."}, {"/a/.b/c", "/a/.b/c"},
		{"/%61", "/a"}, {"/%C3%A4", "/ä"}, {"/%c3%a4", "/ä"}, {"/a%20b", "/a b"}, {"/a+b", "/a+b"}, {"/%25", "/%"}, {"/%2561", "/%61"},
		{"/a%3Fb", "/a?b"}, {"/a%23b", "/a#b"}, {"/%FF", "/\xff"}, {"/\xff", "/\xff"}, {"/a%0Ab", "/a\nb"}, {"/%7f", "/\x7f"},
		{"/.", "/"}, {"/..", "/"}, {"/./", "/"}, {"/../", "/"}, {"/./a", "/a"}, {"/../a", "/a"}, {"/a/.", "/a/"}, {"/a/..", "/"},
		{"/a/./b", "/a/b"}, {"/a/../b", "/b"}, {"/a/b/../c", "/a/c"}, {"/a/b/../../c", "/c"}, {"/a/../../../c", "/c"},
		{"/a/b/..", "/a/"}, {"/a/b/../", "/a/"}, {"/a/%62/../c", "/a/c"}, {"/../../../../etc/passwd", "/etc/passwd"},
		{"//", "!"}, {"//a", "!"}, {"/a//b", "!"}, {"/a//", "!"}, {"/a/b//../c", "!"},
		{"/%2e", "!"}, {"/%2e%2e", "!"}, {"/%2E./a", "!"}, {"/.%2e/a", "!"}, {"/a/%2e%2e/b", "!"}, {"/a/%2e/b", "!"},
		{"/a%2Fb", "!"}, {"/a%2fb", "!"}, {"/%2F", "!"}, {"/..%2f..%2fetc", "!"}, {"/a%5Cb", "!"}, {"/a\\b", "!"}, {"/..\\..\\a", "!"},
		{"/%00", "!"}, {"/a%00.txt", "!"}, {"/a\x00b", "!"}, {"/%", "!"}, {"/%6", "!"}, {"/%zz", "!"}, {"/%6z", "!"}, {"/a%", "!"},
		{"/%u0061", "!"}, {"/%c0%ae%c0%ae/a", "/\xc0\xae\xc0\xae/a"},
	} {
		var n normalizer
		got, ok := n.normalize([]byte(c.in))
		if ok != (c.want != "!") || ok && string(got) != c.want {
			t.Errorf("%q: %q, %v, want %q", c.in, got, ok, c.want)
		}
	}
}

// A path that is not that of a file still finds its rule.
func TestNormalizeForRules(t *testing.T) {
	rules := []*rule{{Rule: Rule{Prefix: "/assets/"}}}
	for in, want := range map[string]bool{
		"/assets/a%2Fb": true, "/assets/%00": true, "/assets//a": true, "/%61ssets/%": true, "/assets/../b": false, "/assets%2Fa": false,
		"/assets": false, "//assets/a": false, "/b/../assets/%zz": true,
	} {
		var n normalizer
		got, _ := n.normalize([]byte(in))
		if (match(rules, got) != nil) != want {
			t.Errorf("%q, normalized %q: %v", in, got, !want)
		}
	}
}

func TestMatch(t *testing.T) {
	rules := []*rule{
		{Rule: Rule{Prefix: "/"}}, {Rule: Rule{Prefix: "/a/"}}, {Rule: Rule{Prefix: "/a/b/"}}, {Rule: Rule{Prefix: "/a/x.txt"}, file: "x"},
	}
	sortRules(rules)
	for path, want := range map[string]string{
		"/": "/", "/a": "/", "/a/": "/a/", "/a/b": "/a/", "/a/b/": "/a/b/", "/a/b/c/d": "/a/b/", "/a/x.txt": "/a/x.txt", "/a/x.txt/": "/a/",
		"/a/x.txta": "/a/", "/b": "/",
	} {
		if got := match(rules, []byte(path)); got == nil || got.Prefix != want {
			t.Errorf("%s: %+v, want %s", path, got, want)
		}
	}
}

func TestRuleCheck(t *testing.T) {
	for prefix, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/ä/ b/": true, "/a%/": true, "/.well-known/": true, "": false, "a/": false, "//": false,
		"/a//b": false, "/../": false, "/a/./": false, "/a\\": false, "/a\x00": false,
	} {
		r := Rule{Prefix: prefix, Path: "x"}
		if err := r.Check(); (err == nil) != want {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, r := range []Rule{{Prefix: "/a/"}, {Prefix: "/a/", Path: "a\x00"}, {Prefix: "/a/", Path: "a", Index: "b/c"}} {
		if r.Check() == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}

// A path without a slash at its end stands for one file, so the path of a directory is refused: all of the file system could lie below it.
func TestFileRuleOfDirectory(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		root := tree(t, map[string]string{"public/a": "text"})
		for _, path := range []string{root + "/public/", root + "/public", root + "/public/.", "/", root + "/public/a/"} {
			if s, err := New(Config{Rules: []Rule{{Prefix: "/assets", Path: path}}}); err == nil {
				s.Close()
				t.Errorf("%s is accepted for one file", path)
			}
		}
	})
}

// FuzzNormalize: a path that is that of a file has no segment that leads anywhere, and is what net/url and path make of it. A
// normalized path stays as it is.
func FuzzNormalize(f *testing.F) {
	for _, in := range []string{"/a/../b", "/%2e%2e/a", "/a%2Fb", "/./..//a", "/a%00", "/%C3%A4/.", "/\\", "/a/b/%2E%2E/..", "/%25%32%65"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if !strings.HasPrefix(in, "/") {
			return
		}
		var n normalizer
		b, ok := n.normalize([]byte(in))
		got := string(b)
		if !strings.HasPrefix(got, "/") {
			t.Fatalf("%q: %q", in, got)
		}
		if !ok {
			return
		}
		for i, segment := range strings.Split(got[1:], "/") {
			last := i == strings.Count(got[1:], "/")
			if segment == "." || segment == ".." || segment == "" && !last || strings.ContainsAny(segment, "\x00\\") {
				t.Fatalf("%q: segment %q of %q", in, segment, got)
			}
		}
		decoded, err := url.PathUnescape(in)
		if err != nil {
			t.Fatalf("%q is accepted: %v", in, err)
		}
		if want := path.Clean(decoded); want != path.Clean(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		again, ok := new(normalizer).normalize([]byte(escapePath(got)))
		if !ok || string(again) != got {
			t.Errorf("%q: %q, and then %q, %v", in, got, again, ok)
		}
	})
}
