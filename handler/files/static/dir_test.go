package static

import (
	"errors"
	"os"
	"testing"
)

// TestClosedDirectory: a lookup may use a directory that another one has just replaced. It recognizes that, so it tries the new one, and
// never says that a file is missing.
func TestClosedDirectory(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		root := tree(t, map[string]string{"file": "text"})
		r, err := newRule(Rule{Prefix: "/", Path: root})
		if err != nil {
			t.Fatal(err)
		}
		closed := r.dir.current()
		closed.close()
		if _, err := closed.stat("file", false); !errors.Is(err, os.ErrClosed) {
			t.Errorf("stat: %v", err)
		}
		if _, _, err := closed.open("file", false); !errors.Is(err, os.ErrClosed) {
			t.Errorf("open: %v", err)
		}
		if _, err := closed.openDirectory(".", false); !errors.Is(err, os.ErrClosed) {
			t.Errorf("openDirectory: %v", err)
		}
		if e := look(r, "/file", nil); e.what != whatError || e.status != 503 || !e.passing {
			t.Errorf("found %v, status %d, passing %v", e.what, e.status, e.passing)
		}
	})
}
