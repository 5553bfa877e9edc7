//go:build !linux

package pool

// Loops and workers are paired on CPUs on Linux only: elsewhere that is impossible, or has not been measured.

type cpus struct{ n int }

func allCPUs() cpus { return cpus{} }

func currentCPU() int { return -1 }

func (c *cpus) pin(pid, cpu int) bool { return false }

func (c *cpus) release(pid int) {}

func yield() {}
