package logging

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newTestTally returns a tally and what it has logged so far.
func newTestTally() (*Tally, func() string) {
	to := newTarget()
	h := slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return NewTally(slog.New(h)), to.String
}

// The first event is logged at once, the next ones together, the last burst too. Causes do not wait for each other.
func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally, log := newTestTally()
		asked := 0
		add := func(cause string, n int) {
			for i := range n {
				tally.Add(Event{Level: slog.LevelWarn, Message: "refused", Status: 503, Cause: cause}, func() []slog.Attr {
					asked++
					return []slog.Attr{slog.Int("i", i)}
				})
			}
		}
		expect := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			if got, want := log(), strings.Join(lines, "\n")+"\n"; got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
		}
		first := `level=WARN msg=refused status=503 cause=full count=1 total=1 i=0`
		add("full", 5)
		expect(first)
		other := `level=WARN msg=refused status=503 cause=late count=1 total=1 i=0`
		add("late", 1)
		expect(first, other)
		time.Sleep(tellEvery)
		next := `level=WARN msg=refused status=503 cause=full count=4 total=5 i=1`
		expect(first, other, next)
		add("full", 3)
		expect(first, other, next)
		tally.Flush()
		last := `level=WARN msg=refused status=503 cause=full count=3 total=8 i=0`
		expect(first, other, next, last)
		time.Sleep(time.Hour)
		tally.Flush()
		expect(first, other, next, last)
		if asked != 4 {
			t.Errorf("details were asked for %d times, for 4 lines", asked)
		}
	})
}

// Causes that peers make up do not use memory without bound.
func TestTallyManyCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally, log := newTestTally()
		for i := range 2 * causesMax {
			tally.Add(Event{Message: "refused", Cause: fmt.Sprint("cause ", i)}, func() []slog.Attr { return nil })
		}
		time.Sleep(tellEvery)
		synctest.Wait()
		if n := len(tally.by); n != causesMax+1 {
			t.Errorf("%d causes", n)
		}
		if want := fmt.Sprintf("cause=other count=%d total=%d\n", causesMax-1, causesMax); !strings.HasSuffix(log(), want) {
			t.Errorf("%s", log()[len(log())-200:])
		}
	})
}
