package proc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of all CPU times in /proc. It is 100 on every Linux architecture that Go supports: it is part of
// the kernel's interface and independent of the timer frequency.
const userHz = 100

func ticks(n uint64) time.Duration { return time.Duration(n) * (time.Second / userHz) }

// Stat holds the fields of /proc/PID/stat that are used here.
type Stat struct {
	PID, Parent, Group, Session int
	State                       byte
	Start                       uint64 // clock ticks after boot: distinguishes a process from a later one with the same id
	CPU                         time.Duration
	ReapedCPU                   time.Duration // of children that were waited for, and of their children
}

// ParseStat parses the text of /proc/PID/stat.
func ParseStat(text string) (Stat, error) {
	// The second field is the name in parentheses. A name may itself contain spaces and parentheses, so the last
	// parenthesis counts.
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return Stat{}, errors.New("process stat: no name in brackets")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	if err != nil {
		return Stat{}, fmt.Errorf("process stat: pid: %w", err)
	}
	// fields[0] is the state, which is field 3 in proc(5).
	fields := strings.Fields(text[end+1:])
	const first = 3
	if len(fields) < 22-first+1 || len(fields[0]) != 1 {
		return Stat{}, errors.New("process stat: too few fields")
	}
	var numberErr error
	number := func(field int) uint64 {
		n, err := strconv.ParseInt(fields[field-first], 10, 64)
		if err != nil || n < 0 && field > 6 {
			numberErr = fmt.Errorf("process stat: field %d is %q", field, fields[field-first])
		}
		return uint64(n)
	}
	s := Stat{
		PID:       pid,
		State:     fields[0][0],
		Parent:    int(number(4)),
		Group:     int(number(5)),
		Session:   int(number(6)),
		CPU:       ticks(number(14) + number(15)),
		ReapedCPU: ticks(number(16) + number(17)),
		Start:     number(22),
	}
	return s, numberErr
}

// ParseSchedstat parses the text of the schedstat of a task: the CPU time that it has used, with the resolution of the
// scheduler's clock.
func ParseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return 0, errors.New("schedstat: too few fields")
	}
	ns, err := strconv.ParseUint(fields[0], 10, 63)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(ns), nil
}

// Switches are context switches.
type Switches struct {
	Voluntary   uint64 // the task had nothing to do
	Involuntary uint64 // another task was to run instead
}

// Total returns the number of switches of both kinds.
func (s Switches) Total() uint64 { return s.Voluntary + s.Involuntary }

// Sub returns the switches between the reading before and the reading s.
func (s Switches) Sub(before Switches) Switches {
	return Switches{s.Voluntary - before.Voluntary, s.Involuntary - before.Involuntary}
}

// ParseSwitches parses the text of the status of a task.
func ParseSwitches(text string) (Switches, error) {
	var s Switches
	var seen int
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		to := &s.Voluntary
		switch key {
		case "voluntary_ctxt_switches":
		case "nonvoluntary_ctxt_switches":
			to = &s.Involuntary
		default:
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return Switches{}, fmt.Errorf("status: %q", strings.TrimSpace(line))
		}
		*to = n
		seen++
	}
	if seen != 2 {
		return Switches{}, errors.New("status: no numbers of context switches")
	}
	return s, nil
}

// Memory is the memory of one or several processes, in bytes.
type Memory struct {
	RSS     uint64 // resident; shared pages count once for each process
	PSS     uint64 // resident; a shared page is divided among its processes
	Private uint64 // resident, and not shared with any other process
}

// Add adds other to m.
func (m *Memory) Add(other Memory) {
	m.RSS += other.RSS
	m.PSS += other.PSS
	m.Private += other.Private
}

// ParseRollup parses the text of /proc/PID/smaps_rollup.
func ParseRollup(text string) (Memory, error) {
	var m Memory
	var seen int
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		var to *uint64
		switch key {
		case "Rss":
			to = &m.RSS
		case "Pss":
			to = &m.PSS
		case "Private_Clean", "Private_Dirty":
			to = &m.Private
		default:
			continue
		}
		number, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		kb, err := strconv.ParseUint(number, 10, 54)
		if err != nil || !isKB || !found {
			return Memory{}, fmt.Errorf("smaps_rollup: %q", strings.TrimSpace(line))
		}
		seen++
		*to += kb << 10
	}
	if seen != 4 {
		return Memory{}, errors.New("smaps_rollup: not Rss, Pss, Private_Clean and Private_Dirty")
	}
	return m, nil
}

// Machine is CPU time of the whole machine since boot.
type Machine struct {
	Busy  time.Duration // all time except idle and waiting for disks
	Steal time.Duration // time that the hypervisor gave to others while there was work
	Total time.Duration
}

// Sub returns the time between the reading before and the reading m.
func (m Machine) Sub(before Machine) Machine {
	return Machine{m.Busy - before.Busy, m.Steal - before.Steal, m.Total - before.Total}
}

// ParseMachine parses the first line of /proc/stat.
func ParseMachine(text string) (Machine, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Machine{}, errors.New("/proc/stat: no line of all CPUs")
	}
	// user nice system idle iowait irq softirq steal. The guest times that follow are already part of user and nice.
	var n [8]uint64
	var total uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(fields[i+1], 10, 64); err != nil {
			return Machine{}, fmt.Errorf("/proc/stat: %w", err)
		}
		total += n[i]
	}
	return Machine{Busy: ticks(n[0] + n[1] + n[2] + n[5] + n[6]), Steal: ticks(n[7]), Total: ticks(total)}, nil
}
