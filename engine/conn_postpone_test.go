package engine

import (
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// A follower that fails while the response before it waits for a slow reader harms neither that response nor those after it:
// in memory and in the spool, whether it fails before its turn or after it.
func TestFollowerFailsBehindASlowReader(t *testing.T) {
	long := response(strings.Repeat("long", 20_000))
	for _, spool := range []int64{0, 1 << 30} {
		for _, before := range []bool{false, true} {
			for name, fails := range map[string]func(r *run){
				"an error":      func(r *run) { r.x.Failed(502, 0) },
				"load":          func(r *run) { r.x.Failed(503, time.Second) },
				"gone":          func(r *run) { r.x.Failed(backend.StatusClientGone, 0) },
				"reset":         func(r *run) { r.x.Done(backend.EndReset) },
				"in the middle": func(r *run) { r.outputs("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbro"); r.x.Failed(502, 0) },
			} {
				var lines loggedLines
				d, h := newRuns(t, Limits{OutputBytes: 10_000, SpoolOutput: spool}, lines.log)
				d.peer.room = 0
				d.peer.says(gets(3))
				if before {
					fails(h.all[1])
				}
				h.all[0].outputs(long)
				h.all[0].x.Done(backend.EndKeep)
				d.settle()
				if !before {
					fails(h.all[1])
				}
				d.settle()
				keeps := name == "an error" || name == "load"
				if keeps {
					h.answers(2)
				}
				for range 200 {
					d.peer.takes(1000)
				}
				rest, ok := strings.CutPrefix(string(d.peer.got), long)
				if !ok {
					t.Errorf("%s, spool %d, before %v: of the first response %d bytes arrived", name, spool, before, len(d.peer.got))
					continue
				}
				if keeps {
					if !strings.HasPrefix(rest, "HTTP/1.1 50") || !strings.HasSuffix(rest, response("/2")) {
						t.Errorf("%s, spool %d, before %v: then %q", name, spool, before, rest)
					}
					d.is(stateIdle)
					continue
				}
				d.is(stateClosed)
				if len(lines) != 3 || lines[0] != "GET /0 200 80000 true" {
					t.Errorf("%s, spool %d, before %v: logged %q", name, spool, before, lines)
				}
			}
		}
	}
}

// A peer that makes room while its request is being spooled gets what waits for it.
func TestSpooledRequestBehindFullSocket(t *testing.T) {
	d, _ := newSpoolDialogue(t, Limits{SpoolBody: true, SpoolOutput: 1 << 20}, 0)
	d.peer.room = 0
	d.peer.says("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n" + expects + "\r\n")
	d.peer.takes(1000)
	d.peer.hearsText("HTTP/1.1 100 Continue\r\n\r\n")
	d.is(stateSpooling)
}
