package proc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of all CPU times in /proc; 100 on every Linux architecture that Go supports (it is part of the
// kernel's interface and has nothing to do with the timer's frequency).
const userHz = 100

func ticks(n uint64) time.Duration { return time.Duration(n) * (time.Second / userHz) }

// Stat is what is of use here in /proc/PID/stat.
type Stat struct {
	PID, Parent, Session int
	State                byte
	Start                uint64 // clock ticks after boot: tells a process from a later one of the same id
	CPU                  time.Duration
	ReapedCPU            time.Duration // of the children that ended and were waited for, and theirs
}

// ParseStat reads the text of /proc/PID/stat.
func ParseStat(text string) (Stat, error) {
	// The second field is the name in brackets, and a name may hold blanks and brackets itself: the last bracket counts.
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return Stat{}, errors.New("process stat: no name in brackets")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	if err != nil {
		return Stat{}, fmt.Errorf("process stat: pid: %w", err)
	}
	// fields[0] is the state, which proc(5) counts as field 3.
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
		Session:   int(number(6)),
		CPU:       ticks(number(14) + number(15)),
		ReapedCPU: ticks(number(16) + number(17)),
		Start:     number(22),
	}
	return s, numberErr
}

// Memory is the memory of one or several processes, in bytes.
type Memory struct {
	RSS uint64 // resident; pages that processes share count once for each of them
	PSS uint64 // resident; a shared page is split between those that share it
}

// Add adds other to m.
func (m *Memory) Add(other Memory) {
	m.RSS += other.RSS
	m.PSS += other.PSS
}

// ParseRollup reads the text of /proc/PID/smaps_rollup.
func ParseRollup(text string) (Memory, error) {
	var m Memory
	var seen int
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if !found || key != "Rss" && key != "Pss" {
			continue
		}
		number, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		kb, err := strconv.ParseUint(number, 10, 54)
		if err != nil || !isKB {
			return Memory{}, fmt.Errorf("smaps_rollup: %q", strings.TrimSpace(line))
		}
		seen++
		if key == "Rss" {
			m.RSS = kb << 10
		} else {
			m.PSS = kb << 10
		}
	}
	if seen != 2 {
		return Memory{}, errors.New("smaps_rollup: no Rss and Pss in it")
	}
	return m, nil
}

// Machine is CPU time of the whole machine since boot.
type Machine struct {
	Busy  time.Duration // spent on anything but idling and waiting for disks
	Steal time.Duration // the hypervisor gave to others while there was something to do
	Total time.Duration
}

// Sub returns what passed between the reading before and the reading m.
func (m Machine) Sub(before Machine) Machine {
	return Machine{m.Busy - before.Busy, m.Steal - before.Steal, m.Total - before.Total}
}

// ParseMachine reads the first line of /proc/stat.
func ParseMachine(text string) (Machine, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Machine{}, errors.New("/proc/stat: no line of all CPUs")
	}
	// user nice system idle iowait irq softirq steal; what follows (guest times) is part of user and nice already.
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
