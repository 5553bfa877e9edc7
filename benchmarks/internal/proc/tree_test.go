package proc

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

func pids(members []Stat) []int {
	out := make([]int, len(members))
	for i, s := range members {
		out[i] = s.PID
	}
	slices.Sort(out)
	return out
}

func TestTreeMembers(t *testing.T) {
	tree := NewTree(100)
	steps := []struct {
		name string
		all  []Stat
		want []int
	}{
		{"children before their parents in the list", []Stat{
			{PID: 1}, {PID: 103, Parent: 102, Session: 5, Start: 3}, {PID: 102, Parent: 100, Session: 5, Start: 2},
			{PID: 100, Parent: 1, Session: 100, Start: 1}, {PID: 200, Parent: 1, Session: 200},
		}, []int{100, 102, 103}},
		{"an orphan in a new session stays known", []Stat{
			{PID: 1}, {PID: 103, Parent: 1, Session: 103, Start: 3}, {PID: 100, Parent: 1, Session: 100, Start: 1},
		}, []int{100, 103}},
		{"a member by its session alone", []Stat{
			{PID: 1}, {PID: 100, Parent: 1, Session: 100, Start: 1}, {PID: 104, Parent: 1, Session: 100, Start: 4},
		}, []int{100, 104}},
		{"a member by its process group alone, in the session of others", []Stat{
			{PID: 1}, {PID: 100, Parent: 1, Session: 100, Start: 1}, {PID: 104, Parent: 1, Session: 100, Start: 4},
			{PID: 107, Parent: 1, Group: 100, Session: 7, Start: 5},
		}, []int{100, 104, 107}},
		{"an id reused by an unrelated process", []Stat{
			{PID: 1}, {PID: 100, Parent: 1, Session: 100, Start: 1}, {PID: 104, Parent: 1, Session: 7, Start: 99},
			{PID: 105, Parent: 104, Session: 7, Start: 100},
		}, []int{100}},
		{"all gone", []Stat{{PID: 1}}, []int{}},
		{"an unrelated process with the root's id, and its session", []Stat{
			{PID: 1}, {PID: 100, Parent: 1, Session: 100, Start: 500}, {PID: 106, Parent: 100, Session: 100, Start: 501},
		}, []int{}},
	}
	for _, step := range steps {
		if got := pids(tree.update(step.all)); !slices.Equal(got, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
	}
}

func TestCPUKeepsTheTimeOfTheDead(t *testing.T) {
	before := []Stat{{PID: 1, CPU: 10, ReapedCPU: 5}, {PID: 2, Parent: 1, CPU: 7}}
	after := []Stat{{PID: 1, CPU: 11, ReapedCPU: 5 + 8}} // 2 ended after one more unit and was waited for
	if used := cpuOf(after) - cpuOf(before); used != 2 {
		t.Errorf("used %d units, want 2", used)
	}
}

func TestSwitchesAddUp(t *testing.T) {
	tree := NewTree(1)
	steps := []struct {
		name string
		now  map[int]Switches
		want Switches
	}{
		{"first", map[int]Switches{1: {10, 1}, 2: {20, 2}}, Switches{30, 3}},
		{"one has ended, one is new", map[int]Switches{1: {15, 1}, 3: {100, 0}}, Switches{135, 3}},
		{"an id used again", map[int]Switches{1: {2, 1}, 3: {100, 0}}, Switches{137, 4}},
		{"all gone", nil, Switches{137, 4}},
	}
	for _, step := range steps {
		if tree.addSwitches(step.now); tree.switches != step.want {
			t.Errorf("%s: got %+v, want %+v", step.name, tree.switches, step.want)
		}
	}
}

// The time of this test's own threads is known more exactly than to 10 ms, and its switches are counted.
func TestTreeOfThisProcess(t *testing.T) {
	tree := NewTree(os.Getpid())
	before, _ := tree.CPU()
	switches := tree.Switches()
	ping, pong := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread() // each message changes the thread
		for n := range ping {
			pong <- n
		}
		close(pong)
	}()
	exact := false
	for n := range 2000 {
		ping <- n
		<-pong
		if n%100 == 0 {
			used, _ := tree.CPU()
			exact = exact || used%(10*time.Millisecond) != 0
		}
	}
	close(ping)
	<-pong
	if after, _ := tree.CPU(); !exact || after <= before {
		t.Errorf("CPU time from %v to %v, exact: %v", before, after, exact)
	}
	if n := tree.Switches().Sub(switches); n.Voluntary == 0 {
		t.Errorf("switches: %+v", n)
	}
}

// A shell whose child uses CPU time: both must be seen, and the child's time even after its end.
func TestTreeOfRealProcesses(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; read line")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer hung.Stop()
	tree := NewTree(cmd.Process.Pid)
	if !slices.Contains(tree.PIDs(), cmd.Process.Pid) {
		t.Error("the first process is not a member of its tree")
	}
	var line [5]byte
	if _, err := out.Read(line[:]); err != nil {
		t.Fatal(err)
	}
	used, processes := tree.CPU()
	if used < 20*time.Millisecond {
		t.Errorf("CPU time of the tree is %v, though the ended child counted to 300,000", used)
	}
	if processes != 1 {
		t.Errorf("%d processes, want only the shell", processes)
	}
	memory, err := tree.Memory()
	if err != nil || memory.RSS == 0 || memory.PSS > memory.RSS {
		t.Errorf("memory %+v, %v", memory, err)
	}
	in.Close()
	// The shell's exit status is that of a read at end of file.
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Error(err)
	}
	if used, processes := tree.CPU(); used != 0 || processes != 0 {
		t.Errorf("after the end: %v, %d processes", used, processes)
	}
}

func TestReadMachine(t *testing.T) {
	m, err := ReadMachine()
	if err != nil || m.Busy <= 0 || m.Total < m.Busy {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, there := readStat(os.Getpid()); !there {
		t.Error("this process was not found")
	}
}
