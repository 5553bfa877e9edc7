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

	tasks    map[int]Switches // by id, as last read
	switches Switches         // of all tasks so far
}

// NewTree returns the tree of the process root, which should be the leader of a new session or process group.
func NewTree(root int) *Tree {
	return &Tree{root: root, known: make(map[int]uint64), tasks: make(map[int]Switches)}
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
	// The kernel does not reuse the root's id before the last process of its session and group has ended.
	strange := rootThere && root.Start != t.rootStart
	for _, s := range all {
		if !strange && (s.PID == t.root || s.Session == t.root || s.Group == t.root) {
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

// CPU returns the number of processes of the tree, and the user and system time that it has used since its start. The time
// of running tasks is exact; that of processes and threads that have ended has a resolution of 10 ms.
func (t *Tree) CPU() (used time.Duration, processes int) {
	members := t.update(readAll())
	for i := range members {
		// Ended threads are in the time of their process only, so the greater number is the better one. It is also what
		// remains if the kernel keeps no schedstat.
		members[i].CPU = max(members[i].CPU, taskCPU(members[i].PID))
	}
	return cpuOf(members), len(members)
}

// taskCPU adds up the time of the running threads of a process.
func taskCPU(pid int) (sum time.Duration) {
	for _, task := range tasksOf(pid) {
		text, err := os.ReadFile(taskFile(pid, task, "schedstat"))
		if err != nil {
			continue
		}
		if used, err := ParseSchedstat(string(text)); err == nil {
			sum += used
		}
	}
	return sum
}

// Switches returns the context switches of the tree since its first call. Those of a task between the last call and its
// end are lost.
func (t *Tree) Switches() Switches {
	now := make(map[int]Switches)
	for _, s := range t.update(readAll()) {
		for _, task := range tasksOf(s.PID) {
			text, err := os.ReadFile(taskFile(s.PID, task, "status"))
			if err != nil {
				continue
			}
			if n, err := ParseSwitches(string(text)); err == nil {
				now[task] = n
			}
		}
	}
	t.addSwitches(now)
	return t.switches
}

// addSwitches takes the numbers of all running tasks.
func (t *Tree) addSwitches(now map[int]Switches) {
	for task, n := range now {
		before := t.tasks[task]
		if before.Voluntary > n.Voluntary || before.Involuntary > n.Involuntary {
			before = Switches{} // another task with the same id
		}
		d := n.Sub(before)
		t.switches.Voluntary += d.Voluntary
		t.switches.Involuntary += d.Involuntary
	}
	t.tasks = now
}

// tasksOf returns the ids of the threads of a process.
func tasksOf(pid int) (tasks []int) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if task, err := strconv.Atoi(name); err == nil {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

func taskFile(pid, task int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(task) + "/" + name
}

// Memory returns the memory of the tree. A process that ends meanwhile does not count.
func (t *Tree) Memory() (sum Memory, err error) {
	each, err := t.MemoryOfEach()
	for _, m := range each {
		sum.Add(m)
	}
	return sum, err
}

// MemoryOfEach returns the memory of each process of the tree by its id, without those that end meanwhile.
func (t *Tree) MemoryOfEach() (map[int]Memory, error) {
	each := make(map[int]Memory)
	for _, s := range t.update(readAll()) {
		if s.State == 'Z' {
			continue
		}
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID) + "/smaps_rollup")
		if err != nil || len(text) == 0 {
			if _, there := readStat(s.PID); there && !os.IsNotExist(err) {
				return nil, err
			}
			continue
		}
		m, err := ParseRollup(string(text))
		if err != nil {
			return nil, err
		}
		each[s.PID] = m
	}
	return each, nil
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
