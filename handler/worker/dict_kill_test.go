package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// dictProgram compiles a program of testdata with what dictionaries need. It is written for Linux.
func dictProgram(t *testing.T, name string, more ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the program is written for Linux")
	}
	flags, err := cFlags()
	if err != nil {
		t.Skipf("pkg-config: %v", err)
	}
	sources, err := filepath.Glob("dict*.c")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), name)
	args := append(append(strings.Fields(flags), "-O2"), more...)
	args = append(args, "-I.", "-I../shm", "-o", program, "testdata/"+name+".c", "base.c")
	if out, err := exec.Command("cc", append(append(args, sources...), "-lm")...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return program
}

// TestDictSteps ends operations after each of their instructions: see the program.
func TestDictSteps(t *testing.T) {
	out, err := exec.Command(dictProgram(t, "dict_steps")).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skip("no single steps here")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || n < 1000 {
		t.Errorf("states: %s", out)
	}
}

// Operations end although a process writes to the lock all the time, or has given all entries the same hash.
func TestDictEnds(t *testing.T) {
	if out, err := exec.Command(dictProgram(t, "dict_ends", "-DLONGEST_MS=300")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// dictChildEnv makes TestDictChild play a worker.
const dictChildEnv = "MOONBRIDGE_TEST_DICT_CHILD"

// childTask is what a child does: the steps that a seed makes.
type childTask struct {
	Seed   uint64
	Prefix string
	Size   uint64
	Key    [2]uint64
}

// journal is memory that a child and the test share: how far the child is, and how far it may go.
type journal struct{ counted, begun, done, failed, limit atomic.Uint64 }

const (
	childKeys  = 40
	childSteps = 300 // before it waits to be killed
)

// steps are those of a task, without end. Every other one stores a large value: so the processes have locks most of the time.
func (c childTask) steps() func() step {
	r := rand.New(rand.NewPCG(c.Seed, 7))
	large := false
	return func() step {
		if large = !large; large {
			return step{op: dictSet, key: c.Prefix + "large", value: strings.Repeat(string(rune('a'+r.IntN(26))), 50_000+r.IntN(50_000))}
		}
		return randomStep(r, c.Prefix, childKeys, false)
	}
}

// TestDictChild is a process of TestDictKill.
func TestDictChild(t *testing.T) {
	text := os.Getenv(dictChildEnv)
	if text == "" {
		t.Skip("not a test of its own")
	}
	var task childTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	d, err := openDict(os.NewFile(3, "dictionary"), task.Size, task.Key)
	if err != nil {
		t.Fatal(err)
	}
	j := mapJournal(t, os.NewFile(4, "journal"))
	next, m := task.steps(), newModel()
	for {
		for j.done.Load() >= j.limit.Load() {
			time.Sleep(time.Millisecond)
		}
		if _, err := d.Incr("counter", int64(1), int64(0), 0); err != nil {
			j.failed.Store(1)
			t.Fatalf("counter: %v", err)
		}
		j.counted.Add(1)
		s := next()
		j.begun.Add(1)
		got := s.do(d)
		if want := s.model(m); got.String() != want.String() {
			j.failed.Store(1)
			t.Fatalf("step %d: %v: got %v, want %v", j.begun.Load(), s, got, want)
		}
		j.done.Add(1)
	}
}

func mapJournal(t testing.TB, f *os.File) *journal {
	t.Helper()
	b, err := unix.Mmap(int(f.Fd()), 0, int(unsafe.Sizeof(journal{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*journal)(unsafe.Pointer(&b[0]))
}

// child is a running process of TestDictKill.
type child struct {
	task childTask
	cmd  *exec.Cmd
	out  *strings.Builder
	j    *journal
	file *os.File
}

func startChild(t *testing.T, m *shm.Dictionary, n int) *child {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "journal")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	c := &child{task: childTask{uint64(n), fmt.Sprintf("%d ", n), m.Size, m.Key}, out: &strings.Builder{}, j: mapJournal(t, f), file: f}
	c.j.limit.Store(childSteps)
	text, err := json.Marshal(c.task)
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestDictChild$")
	c.cmd.Env = append(os.Environ(), dictChildEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	c.cmd.ExtraFiles = []*os.File{m.File, f}
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// kill has a child go on, kills it after so many steps, and returns how far it came.
func (c *child) kill(t *testing.T, steps uint64, after time.Duration) (done uint64, inStep bool) {
	t.Helper()
	c.j.limit.Store(math.MaxUint64)
	for end := time.Now().Add(patience); c.j.done.Load() < steps && c.j.failed.Load() == 0; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Errorf("child %d has done %d steps", c.task.Seed, c.j.done.Load())
			break
		}
	}
	time.Sleep(after)
	c.cmd.Process.Kill()
	c.cmd.Wait()
	if c.j.failed.Load() != 0 {
		t.Fatalf("child: %s", c.out)
	}
	c.file.Close()
	return c.j.done.Load(), c.j.begun.Load() > c.j.done.Load()
}

// check compares what a dead child has left with the model, and removes it.
func (c *child) check(t *testing.T, d *Dict, done uint64, inStep bool) {
	t.Helper()
	next, before, after := c.task.steps(), newModel(), newModel()
	for range done {
		s := next()
		s.model(before)
		s.model(after)
	}
	if inStep {
		next().model(after)
	}
	r := rand.New(rand.NewPCG(0, 0))
	seen := map[string]bool{}
	for n := range childKeys * 20 {
		key := c.task.Prefix + randomKey(r, childKeys)
		if n == 0 {
			key = c.task.Prefix + "large"
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		got := drain(d, key)
		if a, b := before.drained(key), after.drained(key); got != a && got != b {
			t.Errorf("child %d, killed after %d steps: %.30q: got %s, want %s or %s", c.task.Seed, done, key, got, a, b)
		}
	}
}

// drain says what has a key, and removes it.
func drain(d *Dict, key string) string {
	v, err := d.Get(key)
	text := describeValue(v) + fmt.Sprint(" ", err)
	for errors.Is(err, ErrDictIsList) {
		v, e := d.LPop(key)
		if e != nil {
			break
		}
		text += " " + describeValue(v)
	}
	d.Delete(key)
	return text
}

// describeValue says what a value is, shortly.
func describeValue(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.20q of %d bytes, all alike: %v", s, len(s), s == "" || strings.Count(s, s[:1]) == len(s))
	}
	return fmt.Sprint(v)
}

func (m *dictModel) drained(key string) string {
	i := m.item(key)
	switch {
	case i == nil:
		return describeValue(nil) + fmt.Sprint(" ", ErrDictNotFound)
	case i.list == nil:
		return describeValue(i.value) + fmt.Sprint(" ", nil)
	}
	text := describeValue(nil) + fmt.Sprint(" ", ErrDictIsList)
	for _, v := range i.list {
		text += " " + describeValue(v)
	}
	return text
}

// dictSecondsEnv is how long TestDictKill goes on, in seconds.
const dictSecondsEnv = "MOONBRIDGE_DICT_SECONDS"

// TestDictKill has processes carry out random operations on one dictionary, kills them, and compares what they leave with a
// model. Only the operation that a process was killed in may have happened or not.
func TestDictKill(t *testing.T) {
	d, m := newDictMemory(t, 8<<20)
	kills, end := 24, time.Time{}
	if seconds, err := strconv.Atoi(os.Getenv(dictSecondsEnv)); err == nil {
		kills, end = 1<<30, time.Now().Add(time.Duration(seconds)*time.Second)
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	var children [4]*child
	started, counted, unsure, steps := 0, uint64(0), uint64(0), uint64(0)
	bury := func(i int) {
		done, inStep := children[i].kill(t, childSteps+uint64(r.IntN(20)), time.Duration(r.IntN(200))*time.Microsecond)
		children[i].check(t, d, done, inStep)
		counted += children[i].j.counted.Load()
		unsure++
		steps += done
	}
	for ; started < len(children); started++ {
		children[started] = startChild(t, m, started)
	}
	for n := 0; n < kills && !t.Failed() && (end.IsZero() || time.Now().Before(end)); n++ {
		i := r.IntN(len(children))
		bury(i)
		children[i] = startChild(t, m, started)
		started++
	}
	for i := range children {
		bury(i)
	}
	v, err := d.Get("counter")
	if n, _ := v.(int64); err != nil || uint64(n) < counted || uint64(n) > counted+unsure {
		t.Errorf("counter: %v %v, want from %d to %d", v, err, counted, counted+unsure)
	}
	d.Delete("counter")
	st := d.Stats()
	if st.Evicted > 0 || st.Entries > 0 || st.Free != st.Capacity {
		t.Errorf("in the end: %+v", st)
	}
	t.Logf("%d processes killed, %d steps, %d repairs", unsure, steps, st.Repaired)
}
