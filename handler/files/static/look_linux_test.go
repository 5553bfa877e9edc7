package static

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// FuzzLook: whatever the path of a request, what is found is in the directory, for both ways to open files. They agree, except that
// os.Root gives up sooner on chains of links.
func FuzzLook(f *testing.F) {
	for _, path := range []string{"/a", "/sub/b", "/out", "/outdir/secret", "/up/../secret", "/../secret", "/sub/../../secret", "/%2e%2e/secret", "/abs",
		"/.hidden", "/up/sub/up/a", "/a/", "//etc/passwd", "/sub", "/sub/", "/etc/passwd", "/in"} {
		f.Add(path)
	}
	parent := f.TempDir()
	root := filepath.Join(parent, "root")
	for name, content := range map[string]string{"secret": "secret", "root/a": "inside", "root/sub/b": "inside", "root/.hidden": "secret", "root/sub/index.html": "inside"} {
		path := filepath.Join(parent, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": "../secret", "outdir": "..", "abs": filepath.Join(parent, "secret"), "sub/up": "..", "up": "sub/..", "in": "a"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			f.Fatal(err)
		}
	}
	var rules []*rule
	for _, portable := range []bool{false, true} {
		r, err := newRule(Rule{Prefix: "/", Path: root, Index: IndexDefault})
		if err != nil {
			f.Fatal(err)
		}
		if portable {
			r.dir.opened.close()
			if r.dir.opened.root, err = openPortable(root); err != nil {
				f.Fatal(err)
			}
		}
		rules = append(rules, r)
	}
	f.Fuzz(func(t *testing.T, path string) {
		var n normalizer
		key, ok := n.normalize([]byte(path))
		if !ok || !strings.HasPrefix(path, "/") {
			return
		}
		var found []what
		for _, r := range rules {
			e := look(r, string(key), nil)
			if v := e.variants[httpparse.Identity]; v != nil && string(contents(t, v)) != "inside" {
				t.Errorf("%q, normalized %q: %q", path, key, contents(t, v))
			}
			e.release()
			found = append(found, e.what)
		}
		if found[0] != found[1] && !(found[1] == whatNothing && strings.Count(path, "/") > 4) {
			t.Errorf("%q, normalized %q: %v", path, key, found)
		}
	})
}

func contents(t *testing.T, v *variant) []byte {
	if v.file == nil {
		return v.content
	}
	b := make([]byte, v.known.Size)
	if _, err := readAt(v.file.fd, b); err != nil && err != io.EOF {
		t.Error(err)
	}
	return b
}
