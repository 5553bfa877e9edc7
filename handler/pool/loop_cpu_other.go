//go:build !linux

package pool

// Pairing of loops and workers on CPUs is only done on Linux: elsewhere there is no way to it, or no measurement.

type cpus struct{ n int }

func allCPUs() cpus { return cpus{} }

func currentCPU() int { return -1 }

func (c *cpus) pin(pid, cpu int) bool { return false }

func (c *cpus) release(pid int) {}

func yield() {}
