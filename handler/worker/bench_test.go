package worker

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// BenchmarkHello is the CPU time of an exchange inside a worker, from claiming it to its result, as ns/exchange. The worker
// finds batches in its queue. It runs on the CPU that has filled them, as it is paired with its loop in the server.
func BenchmarkHello(b *testing.B) {
	const batch = 512
	w := mustLoad(b, "hello.lua").fork(0, shm.Geometry{Loops: 1, Workers: 1, Cells: batch, InWindow: 512, OutWindow: 2048})
	block := w.headBlock(&request{head: "GET /index.html?a=b HTTP/1.1\nHost: localhost\nUser-Agent: bench\nAccept: */*"})
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		b.Skip(err)
	}
	defer runtime.UnlockOSThread()
	defer unix.SchedSetaffinity(0, &before)
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	unix.SchedSetaffinity(0, &one)
	unix.SchedSetaffinity(w.pid, &one)
	start := cpuTime(b, w.pid)
	for done := 0; done < b.N; done += batch {
		var last *shm.OutCell
		for i := range batch {
			in, inWin := w.mem.InCell(0, i)
			out, _ := w.mem.OutCell(0, i)
			copy(inWin, block)
			in.InHead.Store(uint64(len(block)))
			in.Gen.Store(w.queues[0].Next())
			out.Result.Store(0)
			last = out
			w.queues[0].Push(i)
		}
		for w.ring(); last.Result.Load() == 0; w.ring() {
			unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil)
		}
		w.queues[0].Settle()
	}
	b.ReportMetric(float64(cpuTime(b, w.pid)-start)/float64((b.N+batch-1)/batch*batch), "ns/exchange")
}

// cpuTime is the CPU time of a process in ns.
func cpuTime(b *testing.B, pid int) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		b.Skip(err)
	}
	return ts.Nano()
}

// BenchmarkFork is the time from FORK to the end of prepare, and what of a worker's memory is its own.
func BenchmarkFork(b *testing.B) {
	f := mustLoad(b, "hello.lua")
	private := 0
	for range b.N {
		w := f.fork(0, small)
		b.StopTimer()
		w.get("/")
		private = privateKB(b, w.pid)
		if status := w.quit(); status != unix.WaitStatus(0) {
			b.Fatalf("worker ended with %#x", status)
		}
		w.close()
		b.StartTimer()
	}
	b.ReportMetric(float64(private), "kB-private")
}

var privateField = regexp.MustCompile(`(?m)^Private_\w+:\s+(\d+) kB`)

func privateKB(t testing.TB, pid int) (kB int) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		t.Skip(err)
	}
	for _, m := range privateField.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		kB += n
	}
	return kB
}
