package proc

import (
	"os"
	"strconv"
	"time"
)

// Tree holds the processes of one server. It remembers the processes it has seen, so that a process that was reparented
// after its parent ended still counts. A Tree is not safe for concurrent use.
type Tree struct {
	root      int
	rootStart uint64         // 0 until the root has been seen
	known     map[int]uint64 // pid to start time
}

// NewTree returns the tree of the process root, which should be the leader of a new session.
func NewTree(root int) *Tree {
	return &Tree{root: root, known: make(map[int]uint64)}
}

// update takes the list of all processes and returns those of the tree.
func (t *Tree) update(all []Stat) []Stat {
	byPID := make(map[int]Stat, len(all))
	for _, s := range all {
		byPID[s.PID] = s
	}
	// The id of an ended process may be in use by another process now.
	for pid, start := range t.known {
		if now, there := byPID[pid]; !there || now.Start != start {
			delete(t.known, pid)
		}
	}
	root, rootThere := byPID[t.root]
	if rootThere && t.rootStart == 0 {
		t.rootStart = root.Start
	}
	// The kernel does not reuse the root's id before the last process of its session has ended.
	strange := rootThere && root.Start != t.rootStart
	for _, s := range all {
		if !strange && (s.PID == t.root || s.Session == t.root) {
			t.known[s.PID] = s.Start
		}
	}
	// A child may come before its parent in the list, so repeat until no process is added.
	for joined := true; joined; {
		joined = false
		for _, s := range all {
			_, member := t.known[s.PID]
			if _, childOfMember := t.known[s.Parent]; childOfMember && !member {
				t.known[s.PID] = s.Start
				joined = true
			}
		}
	}
	members := make([]Stat, 0, len(t.known))
	for pid := range t.known {
		members = append(members, byPID[pid])
	}
	return members
}

// cpuOf adds up CPU times. The time of a child that has ended is in its parent's ReapedCPU, so the sum never decreases
// as long as processes wait for their children. Only the children of a process that ignores SIGCHLD are lost.
func cpuOf(members []Stat) time.Duration {
	var sum time.Duration
	for _, s := range members {
		sum += s.CPU + s.ReapedCPU
	}
	return sum
}

// CPU returns the number of processes of the tree, and the user and system time that it has used since its start, with
// a resolution of 10 ms per process.
func (t *Tree) CPU() (used time.Duration, processes int) {
	members := t.update(readAll())
	return cpuOf(members), len(members)
}

// Memory returns the memory of the tree. A process that ends meanwhile does not count.
func (t *Tree) Memory() (Memory, error) {
	var sum Memory
	for _, s := range t.update(readAll()) {
		if s.State == 'Z' {
			continue
		}
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID) + "/smaps_rollup")
		if err != nil || len(text) == 0 {
			if _, there := readStat(s.PID); there && !os.IsNotExist(err) {
				return Memory{}, err
			}
			continue
		}
		m, err := ParseRollup(string(text))
		if err != nil {
			return Memory{}, err
		}
		sum.Add(m)
	}
	return sum, nil
}

// PIDs returns the ids of the tree's processes.
func (t *Tree) PIDs() []int {
	members := t.update(readAll())
	pids := make([]int, len(members))
	for i, s := range members {
		pids[i] = s.PID
	}
	return pids
}

func readStat(pid int) (Stat, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, false
	}
	s, err := ParseStat(string(text))
	return s, err == nil
}

// readAll returns all processes of the machine, except those that ended while it read them.
func readAll() []Stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	all := make([]Stat, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, there := readStat(pid); there {
			all = append(all, s)
		}
	}
	return all
}

// ReadMachine returns the CPU time of the whole machine so far.
func ReadMachine() (Machine, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, err
	}
	return ParseMachine(string(text))
}
