package parity

import (
	"net/http"
	"testing"
)

// aCase is what a client says.
type aCase struct {
	name string
	talk func(c *client)
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
	dir, known, reasons := makeFiles(t), readDifferences(t), reasonsByCase(t)
	var differing []difference
	seen := make(map[string]bool)
	for _, k := range allCases() {
		if seen[k.name] {
			t.Fatalf("two cases are called %q", k.name)
		}
		seen[k.name] = true
		t.Run(k.name, func(t *testing.T) {
			var got [2]string
			for i, s := range servers {
				t.Run(s.name, func(t *testing.T) { got[i] = k.outcome(t, s, dir) })
			}
			d := difference{k.name, reasons[k.name], got[0], got[1]}
			switch {
			case got[0] == got[1] && d.why != "":
				t.Errorf("no difference, though the table says %q:\n%s", d.why, got[0])
			case got[0] == got[1]:
			case d.why == "":
				t.Errorf("a difference that is not in the table:\n%s", d)
			default:
				differing = append(differing, d)
				if !*update && known[k.name] != d {
					t.Errorf("another difference than in %s:\n%s", differencesFile, d)
				}
			}
		})
	}
	for name, why := range reasons {
		if !seen[name] {
			t.Errorf("%s: there is no case %q", why, name)
		}
	}
	if *update && !t.Failed() {
		writeDifferences(t, differing)
	} else if len(known) != len(differing) {
		t.Errorf("%d cases differ, %s has %d", len(differing), differencesFile, len(known))
	}
	t.Logf("%d cases, %d of them differ", len(seen), len(differing))
}
