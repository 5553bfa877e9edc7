package worker

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// BenchmarkExchange is the CPU time of an exchange inside a worker, from claiming it to its result, as ns/exchange: of one that
// uses nothing of its request, of one that uses a query and cookies, and of one that uses a form.
func BenchmarkExchange(b *testing.B) {
	const browser = "\nHost: localhost\nUser-Agent: bench\nAccept: */*"
	var form []string
	for i := range 8 {
		form = append(form, fmt.Sprintf("field%d=%s", i+1, strings.Repeat("some+text,%20", 9)))
	}
	for _, c := range []struct {
		name string
		r    request
	}{
		{"hello", request{head: "GET /index.html HTTP/1.1" + browser}},
		{"query", request{head: "GET /list?page=2&sort=date&name=J%C3%B6rg+M HTTP/1.1" + browser +
			"\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark"}},
		{"form", request{head: "POST /list HTTP/1.1\nContent-Type: application/x-www-form-urlencoded" + browser, body: strings.Join(form, "&")}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkExchange(b, &c.r) })
	}
}

// benchmarkExchange has a worker run exchanges, which it finds in its queue in batches. It runs on the CPU that has filled
// the queue, as it is paired with its loop in the server.
func benchmarkExchange(b *testing.B, r *request) {
	const batch = 512
	w := mustLoad(b, "bench.lua").fork(0, shm.Geometry{Loops: 1, Workers: 1, Cells: batch, InWindow: 2048, OutWindow: 2048})
	block := append(w.headBlock(r), r.body...)
	onOneCPU(b, w.pid)
	start := cpuTime(b, w.pid)
	for done := 0; done < b.N; done += batch {
		var last *shm.OutCell
		var gen uint64
		for i := range batch {
			in, inWin := w.mem.InCell(0, i)
			out, _ := w.mem.OutCell(0, i)
			copy(inWin, block)
			in.InHead.Store(uint64(len(block)))
			in.Flags.Store(shm.InEnd)
			gen = w.queues[0].Next()
			in.Gen.Store(gen)
			out.Result.Store(0)
			last = out
			w.queues[0].Push(i)
		}
		for w.ring(); last.Result.Load() == 0; w.ring() {
			unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil)
		}
		if result := shm.ResultOf(last.Result.Load(), gen); result != shm.ResultDone {
			b.Fatalf("result %#x\n%s", result, w.stderr)
		}
		w.queues[0].Settle()
	}
	b.ReportMetric(float64(cpuTime(b, w.pid)-start)/float64((b.N+batch-1)/batch*batch), "ns/exchange")
}

// onOneCPU keeps the thread of the benchmark and another process on one CPU, until the benchmark ends.
func onOneCPU(b *testing.B, pid int) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() {
		unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	})
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	unix.SchedSetaffinity(0, &one)
	unix.SchedSetaffinity(pid, &one)
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
		t.Skip("the memory of a process cannot be read: ", err)
	}
	for _, m := range privateField.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		kB += n
	}
	return kB
}
