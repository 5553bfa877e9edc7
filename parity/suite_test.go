package parity

import (
	"net/http"
	"testing"
)

// aCase is what a client says, and what may differ.
type aCase struct {
	name string
	talk func(c *client)
	why  string // the id of a difference; empty: there is none
}

// outcome is the transcript of a case on one server.
func (k *aCase) outcome(t *testing.T, s aServer, dir string) string {
	w := &world{t: t, gate: make(chan struct{}), notes: make(chan string, 10)}
	w.up = newUpstreams(t, w)
	mux := newMux(w, dir)
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "CONNECT" {
			connect(rw, r)
			return
		}
		mux.ServeHTTP(rw, r)
	})
	c := dial(t, w, s.start(t, h))
	defer c.conn.Close()
	k.talk(c)
	return c.log.String()
}

// TestParity runs every case on both servers. What differs stands in the table with its reason (differences_test.go), and how it
// differs in testdata/differences.txt.
func TestParity(t *testing.T) {
	dir := makeFiles(t)
	known := readDifferences(t)
	used := make(map[string]bool)
	var differing []difference
	names := make(map[string]bool)
	for _, k := range allCases() {
		if names[k.name] {
			t.Fatalf("two cases are called %q", k.name)
		}
		names[k.name] = true
		t.Run(k.name, func(t *testing.T) {
			var got [2]string
			for i, s := range servers {
				t.Run(s.name, func(t *testing.T) { got[i] = k.outcome(t, s, dir) })
			}
			switch {
			case got[0] == got[1] && k.why != "":
				t.Errorf("no difference, though there should be one: %s\n%s", k.why, got[0])
			case got[0] == got[1]:
				return
			case k.why == "":
				t.Errorf("%s:\n%s\n%s:\n%s", servers[0].name, got[0], servers[1].name, got[1])
				return
			}
			used[k.why] = true
			d := difference{k.name, k.why, got[0], got[1]}
			differing = append(differing, d)
			if !*update && known[k.name] != d {
				t.Errorf("another difference than before. Now:\n%s", d)
			}
		})
	}
	if t.Failed() {
		return
	}
	if *update {
		writeDifferences(t, differing)
	} else if len(known) != len(differing) {
		t.Errorf("%d cases differ, %s has %d", len(differing), differencesFile, len(known))
	}
	for _, r := range reasons {
		if !used[r.id] {
			t.Errorf("no case shows the difference %q", r.id)
		}
		delete(used, r.id)
	}
	for id := range used {
		t.Errorf("the table has no row %q", id)
	}
	t.Logf("%d cases, %d of them differ", len(names), len(differing))
}
