package proc

import (
	"strings"
	"testing"
	"time"
)

const statLine = "4242 (mbserve) S 17 4242 4240 0 -1 4194560 1196 7 0 0 123 45 6 7 20 0 9 0 16377853 7360512 949 " +
	"18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	want := Stat{PID: 4242, State: 'S', Parent: 17, Group: 4242, Session: 4240, Start: 16377853,
		CPU: 1680 * time.Millisecond, ReapedCPU: 130 * time.Millisecond}
	for _, name := range []string{"(mbserve)", "(nginx: worker)", "(odd) name) (x)", "()"} {
		got, err := ParseStat(strings.Replace(statLine, "(mbserve)", name, 1))
		if err != nil || got != want {
			t.Errorf("name %s: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	kernel := strings.Replace(statLine, "S 17 4242 4240 0 -1", "S 0 0 0 0 -1", 1)
	if got, err := ParseStat(kernel); err != nil || got.Parent != 0 || got.Session != 0 {
		t.Errorf("process of the kernel: got %+v, %v", got, err)
	}
}

func TestParseStatRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"no name", "4242 S 17 4242"},
		{"brackets the wrong way round", "4242 )mbserve( S"},
		{"no pid", "(mbserve) S 1"},
		{"cut short", statLine[:60]},
		{"no number", strings.Replace(statLine, " 123 45 ", " abc 45 ", 1)},
		{"negative time", strings.Replace(statLine, " 123 45 ", " -123 45 ", 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := ParseStat(test.in); err == nil {
				t.Errorf("taken as %+v", got)
			}
		})
	}
}

const rollup = `55d0c0000000-7ffd1c1fe000 ---p 00000000 00:00 0                          [rollup]
Rss:               12796 kB
Pss:                4567 kB
Pss_Dirty:          1200 kB
Pss_Anon:           1100 kB
Shared_Clean:       7000 kB
Private_Clean:          40 kB
Private_Dirty:        1200 kB
Swap:                  0 kB
`

func TestParseRollup(t *testing.T) {
	got, err := ParseRollup(rollup)
	if want := (Memory{RSS: 12796 << 10, PSS: 4567 << 10, Private: 1240 << 10}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got.Add(Memory{RSS: 1, PSS: 2, Private: 3})
	if want := (Memory{RSS: 12796<<10 + 1, PSS: 4567<<10 + 2, Private: 1240<<10 + 3}); got != want {
		t.Errorf("sum: got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", strings.Replace(rollup, "4567 kB", "4567 MB", 1),
		strings.Replace(rollup, "4567", "-4567", 1)} {
		if got, err := ParseRollup(bad); err == nil {
			t.Errorf("%q taken as %+v", bad, got)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := ParseSchedstat("1234567890 55 7\n"); err != nil || got != 1234567890*time.Nanosecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "12 3\n", "-1 2 3\n", "x 2 3\n", "18446744073709551615 1 1\n"} {
		if got, err := ParseSchedstat(bad); err == nil {
			t.Errorf("%q taken as %v", bad, got)
		}
	}
}

func TestParseSwitches(t *testing.T) {
	const text = "Name:\tnginx\nThreads:\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n"
	got, err := ParseSwitches(text)
	if want := (Switches{150, 7}); err != nil || got != want || got.Total() != 157 {
		t.Errorf("got %+v, %v", got, err)
	}
	if d := got.Sub(Switches{100, 3}); d != (Switches{50, 4}) {
		t.Errorf("difference: %+v", d)
	}
	for _, bad := range []string{"", "voluntary_ctxt_switches: 1\n", strings.Replace(text, "150", "many", 1)} {
		if got, err := ParseSwitches(bad); err == nil {
			t.Errorf("%q taken as %+v", bad, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	const text = "cpu  100 10 200 5000 50 3 7 40 90 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
	got, err := ParseMachine(text)
	want := Machine{Busy: 3200 * time.Millisecond, Steal: 400 * time.Millisecond, Total: 54100 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if diff := got.Sub(Machine{Busy: time.Second, Steal: 0, Total: 54 * time.Second}); diff !=
		(Machine{2200 * time.Millisecond, 400 * time.Millisecond, 100 * time.Millisecond}) {
		t.Errorf("difference: %+v", diff)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2 3\n", "cpu 1 2 x 4 5 6 7 8\n"} {
		if got, err := ParseMachine(bad); err == nil {
			t.Errorf("%q taken as %+v", bad, got)
		}
	}
}
