package shm_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

// The model: a server that pushes exchanges as fast as cells become free, and workers that claim and answer them. Each exchange
// has a number, which the worker copies from the in-window into the out-window. The worker increments OutHead, so that two
// workers with the same exchange would be seen. The exchange of a worker that dies is pushed again.

const workerEnv = "MOONBRIDGE_SHM_TEST_WORKER"

func TestMain(m *testing.M) {
	if slot := os.Getenv(workerEnv); slot != "" {
		workerProcess(slot)
	}
	os.Exit(m.Run())
}

// workerProcess is the test binary as a worker: descriptors 3 and 4 are the segments, 5 its doorbell, from 6 on those of
// the loops.
func workerProcess(slot string) {
	n, _ := strconv.Atoi(slot)
	m, err := shmtest.Map(os.NewFile(3, "in"), os.NewFile(4, "out"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serve(m, m.Worker(n), 5, func(l int) { shmtest.Ring(6 + l) })
	os.Exit(0)
}

func readable(fd, timeoutMS int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(p, timeoutMS)
	return n > 0
}

// serve is the life of a worker.
func serve(m *shmtest.Memory, w *shmtest.Worker, bell int, ring func(loop int)) {
	for {
		c, ok := w.Claim()
		if ok {
			answer(m, w, c)
			if w.Finish(c, shm.ResultDone) {
				ring(c.Loop)
			}
			continue
		}
		if w.Quit() {
			return
		}
		w.Sleep()
		if !w.Waiting() && !w.Quit() {
			readable(bell, -1)
			var b [512]byte
			unix.Read(bell, b[:])
		}
		w.Awake()
	}
}

func answer(m *shmtest.Memory, w *shmtest.Worker, c shmtest.Claim) {
	_, in := m.InCell(c.Loop, c.Cell)
	o, out := m.OutCell(c.Loop, c.Cell)
	copy(out[:8], in[:8])
	for range rand.IntN(200) { // be somewhere in the middle when killed
		_ = w.Waiting()
	}
	o.OutHead.Add(1)
}

// model is the server.
type model struct {
	t       *testing.T
	m       *shm.Memory
	theirs  *shmtest.Memory // what workers see
	g       shm.Geometry
	rnd     *rand.Rand
	queues  []*shm.Queue
	bells   []*shm.Doorbell // of loops
	workers []*shm.Doorbell
	free    [][]int
	number  map[[2]int]uint64 // exchange in a cell (loop, cell)
	pos     map[[2]int]uint64
	next    uint64
	done    map[uint64]bool
	retried int
}

func newModel(t *testing.T, g shm.Geometry) *model {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &model{
		t: t, m: testMemory(t, g), g: g, rnd: rand.New(rand.NewPCG(seed, 1)),
		number: map[[2]int]uint64{}, pos: map[[2]int]uint64{}, done: map[uint64]bool{},
	}
	s.theirs = shmtest.Of(s.m)
	bell := func() *shm.Doorbell {
		d, err := shm.NewDoorbell()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	for l := range g.Loops {
		s.queues = append(s.queues, s.m.Queue(l))
		s.bells = append(s.bells, bell())
		var free []int
		for c := range g.Cells {
			free = append(free, c)
		}
		s.free = append(s.free, free)
	}
	for i := range g.Workers {
		s.workers = append(s.workers, bell())
		s.m.InWorker(i).Home.Store(uint32(i % g.Loops))
	}
	return s
}

func (s *model) push(l, cell int, number uint64) {
	c, win := s.m.InCell(l, cell)
	o, _ := s.m.OutCell(l, cell)
	at := [2]int{l, cell}
	s.number[at], s.pos[at] = number, s.queues[l].Next()
	binary.NativeEndian.PutUint64(win, number)
	o.Result.Store(0)
	o.OutHead.Store(0)
	c.Gen.Store(s.queues[l].Next())
	s.queues[l].Push(cell)
}

// turn pushes what there is room for and takes what is done. It returns false when all n exchanges are.
func (s *model) turn(n int) bool {
	for l, q := range s.queues {
		for len(s.free[l]) > 0 && s.next < uint64(n) && !q.Full() && s.rnd.IntN(8) > 0 {
			i := len(s.free[l]) - 1
			cell := s.free[l][i]
			s.free[l] = s.free[l][:i]
			s.push(l, cell, s.next)
			if s.rnd.IntN(16) == 0 && q.Withdraw(cell, s.pos[[2]int{l, cell}]) {
				s.free[l] = append(s.free[l], cell) // its number is used for the next one
				continue
			}
			s.next++
		}
		if q.Len() > 0 {
			for i := range s.g.Workers {
				if s.m.OutWorker(i).Asleep.Swap(0) != 0 {
					s.workers[i].Ring()
				}
			}
		}
		s.collect(l)
	}
	if len(s.done) < n {
		s.sleep()
	}
	return len(s.done) < n
}

func (s *model) collect(l int) {
	words := s.m.Ready(l)
	for i := range words {
		for word := words[i].Swap(0); word != 0; word &= word - 1 {
			cell := i*64 + bits.TrailingZeros64(word)
			if o, _ := s.m.OutCell(l, cell); o.Result.Load()&shm.ResultDone != 0 {
				s.complete(l, cell)
			}
		}
	}
}

func (s *model) complete(l, cell int) {
	at := [2]int{l, cell}
	o, win := s.m.OutCell(l, cell)
	owner, number := o.Owner.Load(), s.number[at]
	if owner>>32 != s.pos[at]&0xffffffff || uint32(owner) == shm.WhoFree || uint32(owner) == shm.WhoQueued {
		s.t.Errorf("exchange %d: done by owner %x, position %d", number, owner, s.pos[at])
	}
	if got := binary.NativeEndian.Uint64(win); got != number || o.OutHead.Load() != 1 || s.done[number] {
		s.t.Errorf("exchange %d: answer %d, %d times, seen before: %v", number, got, o.OutHead.Load(), s.done[number])
	}
	s.done[number] = true
	o.Result.Store(0)
	o.Owner.Store(shm.Owner(s.pos[at], shm.WhoFree))
	s.free[l] = append(s.free[l], cell)
}

// sleep blocks until a worker rings, by the protocol, with a bound.
func (s *model) sleep() {
	for l := range s.g.Loops {
		s.m.OutLoop(l).Asleep.Store(1)
	}
	idle := true
	for l := range s.g.Loops {
		for i := range s.m.Ready(l) {
			idle = idle && s.m.Ready(l)[i].Load() == 0
		}
		idle = idle && (len(s.free[l]) < s.g.Cells)
	}
	if idle {
		var p []unix.PollFd
		for _, b := range s.bells {
			p = append(p, unix.PollFd{Fd: int32(b.Reader()), Events: unix.POLLIN})
		}
		if n, _ := unix.Poll(p, 20000); n == 0 {
			s.t.Error("no ring for 20 s: a wake-up is lost")
		}
	}
	for l, b := range s.bells {
		s.m.OutLoop(l).Asleep.Store(0)
		b.Drain()
	}
}

// reclaim pushes again what a dead worker had.
func (s *model) reclaim(slot int) {
	for l := range s.g.Loops {
		s.collect(l)
		for cell := range s.g.Cells {
			o, _ := s.m.OutCell(l, cell)
			at := [2]int{l, cell}
			if o.Owner.Load() != shm.Owner(s.pos[at], uint32(slot+1)) {
				continue
			}
			if o.Result.Load()&shm.ResultDone != 0 { // it did not get to tell
				s.complete(l, cell)
				continue
			}
			s.retried++
			s.push(l, cell, s.number[at])
		}
	}
	s.m.OutWorker(slot).Asleep.Store(0)
}

func (s *model) quit() {
	for i := range s.g.Workers {
		s.m.InWorker(i).Quit.Store(1)
		s.workers[i].Ring()
	}
}

func (s *model) check(n int) {
	if len(s.done) != n || s.t.Failed() {
		s.t.Errorf("%d of %d exchanges answered", len(s.done), n)
	}
	for l := range s.g.Loops {
		if s.queues[l].Settle() != 0 {
			s.t.Errorf("loop %d: queue not empty", l)
		}
		if len(s.free[l]) != s.g.Cells {
			s.t.Errorf("loop %d: %d of %d cells free", l, len(s.free[l]), s.g.Cells)
		}
	}
}

var modelSizes = []shm.Geometry{
	{Loops: 1, Workers: 1, Cells: 2, InWindow: 64, OutWindow: 64},
	{Loops: 2, Workers: 3, Cells: 2, InWindow: 64, OutWindow: 64},
	{Loops: 2, Workers: 4, Cells: 100, InWindow: 64, OutWindow: 128},
}

func TestQueueGoroutines(t *testing.T) {
	for _, g := range modelSizes {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			s := newModel(t, g)
			var wg sync.WaitGroup
			for i := range g.Workers {
				wg.Go(func() { serve(s.theirs, s.theirs.Worker(i), s.workers[i].Reader(), func(l int) { s.bells[l].Ring() }) })
			}
			for s.turn(3000) {
			}
			s.quit()
			wg.Wait()
			s.check(3000)
		})
	}
}

// The same with processes, some of which are killed, at whatever they are doing.
func TestQueueProcesses(t *testing.T) {
	for _, g := range modelSizes {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			s := newModel(t, g)
			procs := make([]*exec.Cmd, g.Workers)
			for i := range procs {
				procs[i] = startWorker(t, s, i)
			}
			defer func() {
				for _, p := range procs {
					if p != nil {
						p.Process.Kill()
						p.Wait()
					}
				}
			}()
			const n, kills = 3000, 12
			killed := 0
			for s.turn(n) {
				if killed < kills && len(s.done) > killed*n/kills {
					victim := s.rnd.IntN(g.Workers)
					procs[victim].Process.Kill()
					procs[victim].Wait()
					s.reclaim(victim)
					procs[victim] = startWorker(t, s, victim)
					killed++
				}
			}
			s.quit()
			for i, p := range procs {
				if err := p.Wait(); err != nil {
					t.Errorf("worker %d: %v", i, err)
				}
				procs[i] = nil
			}
			s.check(n)
			t.Logf("%d killed, %d exchanges pushed again", killed, s.retried)
		})
	}
}

func startWorker(t *testing.T, s *model, slot int) *exec.Cmd {
	t.Helper()
	in, out := s.m.Files()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+strconv.Itoa(slot))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{in, out}
	var dups []*os.File
	dup := func(fd int) {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		dups = append(dups, os.NewFile(uintptr(n), "dup"))
	}
	dup(s.workers[slot].Reader())
	for _, b := range s.bells {
		dup(b.Writer())
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, dups...)
	err := cmd.Start()
	for _, f := range dups {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A tail that a worker has overwritten is brought back, and a waiting exchange that it has passed is found again.
func TestQueueTailNonsense(t *testing.T) {
	s := newModel(t, shm.Geometry{Loops: 1, Workers: 1, Cells: 4, InWindow: 64, OutWindow: 64})
	q, tail, w := s.queues[0], &s.m.OutLoop(0).QTail, s.theirs.Worker(0)
	for i := range 20 { // so that positions are past the size of the queue
		s.push(0, 0, uint64(i))
		if c, ok := w.Claim(); !ok || c.Gen != uint64(i) {
			t.Fatalf("claim %d: %+v %v", i, c, ok)
		}
	}
	s.push(0, 1, 100)
	pos := s.pos[[2]int{0, 1}]
	for _, bad := range []uint64{0, pos - 1, pos + 1, pos + 2, 1 << 40, ^uint64(0)} {
		tail.Store(bad)
		q.Settle()
		if q.Passed(pos) {
			q.Repair(pos)
		}
		if q.Len() != 1 || q.Settle() != 1 || q.Passed(pos) {
			t.Errorf("tail %d: %d wait", bad, q.Len())
		}
	}
	if c, ok := w.Claim(); !ok || c.Cell != 1 {
		t.Errorf("claim: %+v %v", c, ok)
	}
	if q.Settle() != 0 {
		t.Error("queue not empty")
	}
}

// A worker that writes to the tail all the time holds up neither the loop, which settles the queue, nor another worker, which
// searches for an exchange far before those that there are.
func TestQueueTailContested(t *testing.T) {
	s := newModel(t, shm.Geometry{Loops: 1, Workers: 1, Cells: 4, InWindow: 64, OutWindow: 64})
	q, tail, w := s.queues[0], &s.m.OutLoop(0).QTail, s.theirs.Worker(0)
	for i := range 1000 {
		s.push(0, 0, uint64(i))
		if _, ok := w.Claim(); !ok {
			t.Fatalf("claim %d", i)
		}
	}
	tail.Store(0)
	if _, ok := w.Claim(); ok || tail.Load() < q.Next()-uint64(s.m.Header().QueueCap) {
		t.Errorf("claimed %v, tail %d of %d", ok, tail.Load(), q.Next())
	}
	s.push(0, 1, 1000)
	pos := s.pos[[2]int{0, 1}]
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := uint64(0); !over.Load(); n++ {
			tail.Store(n & 0xffff)
		}
	}()
	for range 20000 {
		if q.Settle() > int(s.m.Header().QueueCap) {
			t.Fatal("more wait than there is room for")
		}
		q.Repair(pos)
	}
	over.Store(true)
	<-ended
	tail.Store(0)
	if n := q.Settle(); n != 1 {
		t.Errorf("%d wait", n)
	}
	if c, ok := w.Claim(); !ok || c.Cell != 1 {
		t.Errorf("claim: %+v %v", c, ok)
	}
}

func TestQueueFull(t *testing.T) {
	s := newModel(t, shm.Geometry{Loops: 1, Workers: 1, Cells: 2, InWindow: 64, OutWindow: 64})
	q := s.queues[0]
	s.push(0, 0, 0) // waits at the front, so that the tail cannot move
	for i := 1; !q.Full(); i++ {
		if i > int(s.m.Header().QueueCap) {
			t.Fatal("never full")
		}
		s.push(0, 1, uint64(i))
		if !q.Withdraw(1, s.pos[[2]int{0, 1}]) {
			t.Fatal("not withdrawn")
		}
	}
	if c, ok := s.theirs.Worker(0).Claim(); !ok || c.Cell != 0 {
		t.Fatal("not claimed")
	}
	if q.Full() || q.Settle() != 0 {
		t.Error("does not settle")
	}
}
