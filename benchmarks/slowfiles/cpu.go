package main

import (
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/servers"
)

// cores is what uses how much of the processors, in cores.
type cores struct {
	server  float64
	readers float64 // this program
	wrk     float64
	rest    float64 // everything else: the kernel's own threads, interrupts, other programs
}

// usage is what has been used at a time.
type usage struct {
	at              time.Time
	server, readers time.Duration
	machine         proc.Machine
}

func usageOf(server *servers.Server) (u usage, err error) {
	u.server, _ = server.Tree.CPU()
	var self syscall.Rusage
	if err = syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return u, err
	}
	u.readers = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	u.machine, err = proc.ReadMachine()
	u.at = time.Now()
	return u, err
}

// since is what was used between before and u, of which wrk has used a part.
func (u usage) since(before usage, wrk time.Duration) cores {
	span := u.at.Sub(before.at)
	part := func(d time.Duration) float64 { return d.Seconds() / span.Seconds() }
	machine := u.machine.Sub(before.machine)
	c := cores{server: part(u.server - before.server), readers: part(u.readers - before.readers), wrk: part(wrk)}
	c.rest = max(0, part(machine.Busy)-c.server-c.readers-c.wrk)
	return c
}
