package pool

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// cpus are the CPUs that this process may run on.
type cpus struct {
	set unix.CPUSet
	n   int
}

func allCPUs() (c cpus) {
	if unix.SchedGetaffinity(0, &c.set) == nil {
		c.n = c.set.Count()
	}
	return c
}

// currentCPU is where the calling thread runs; -1: unknown.
func currentCPU() int {
	var cpu uint32
	if _, _, e := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); e != 0 {
		return -1
	}
	return int(cpu)
}

// pin binds a process to one CPU.
func (c *cpus) pin(pid, cpu int) bool {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(pid, &set) == nil
}

// release lets it run on any CPU.
func (c *cpus) release(pid int) { unix.SchedSetaffinity(pid, &c.set) }

// yield lets another thread that is ready run on this CPU first.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
