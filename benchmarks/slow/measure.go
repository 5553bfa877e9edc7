package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/wrk"
)

// honest is the number of honest clients.
const honest = 16

// kind is a kind of slow clients.
type kind struct {
	path string
	args []string
}

var (
	// Each reader takes 2 MiB at 1,000 bytes a second.
	reader = kind{"large", []string{"-X", "-w", "1024", "-y", "2048", "-n", "1", "-z", "1000"}}
	// Each upload announces 100,000 bytes, of which some come every second.
	upload = kind{"", []string{"-B", "-s", "100000", "-i", "1", "-x", "200"}}
)

// windows is how often the honest clients are measured in each situation of a round, and as often just before it without slow
// clients. The throughput of a small virtual machine wanders by a fifth within a minute, so many short windows tell more than
// a long one.
const windows = 4

// situation is a row of the report.
type situation struct {
	name  string
	kinds []kind

	// For each window.
	perSecond, p99, cpu []float64
	// For each round.
	ratio, connected, memory, generator []float64
	bad                                 int
}

// measure starts mbserve, measures all situations in each round, and stops it.
func measure(ctx context.Context, o options) (all []situation, err error) {
	all = []situation{{name: "nothing"}, {name: "readers", kinds: []kind{reader}}, {name: "uploads", kinds: []kind{upload}},
		{name: "both", kinds: []kind{reader, upload}}}
	work, err := servers.FindWorkload("hello")
	if err != nil {
		return nil, err
	}
	work.Name = "slow" // its script; request and answer are the same
	err = o.settings.Use("mbserve", work, func(server *servers.Server) error { return measureAll(ctx, o, server, all) })
	return all, err
}

func measureAll(ctx context.Context, o options, server *servers.Server, all []situation) error {
	alone := &all[0]
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		for i := range all[1:] {
			s := &all[1+i]
			if err := alone.measure(ctx, o, server); err != nil {
				return fmt.Errorf("%s: %w", alone.name, err)
			}
			if err := s.measure(ctx, o, server); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.ratio = append(s.ratio, s.latest()/alone.latest())
		}
	}
	return nil
}

// latest is the mean throughput of the latest windows.
func (s *situation) latest() float64 {
	sum := 0.0
	for _, v := range s.perSecond[len(s.perSecond)-windows:] {
		sum += v
	}
	return sum / windows
}

// measure loads the server with honest clients while the slow ones are there.
func (s *situation) measure(ctx context.Context, o options, server *servers.Server) error {
	var slow []*slowClients
	stop := func() {
		for _, c := range slow {
			c.stop()
		}
		slow = nil
	}
	defer stop()
	for _, k := range s.kinds {
		c, err := k.start(o.clients, server.Address, o.duration)
		if err != nil {
			return err
		}
		slow = append(slow, c)
	}
	if err := await(ctx, server.Address, len(s.kinds)*o.clients); err != nil {
		return err
	}
	// The server answers all readers as far as it can, and what it has spooled is on the disk, before anything is measured.
	if err := program.Rest(ctx, server, 0.25); err != nil {
		return err
	}
	syscall.Sync()
	begin, used := time.Now(), cpuOf(slow)
	for range windows {
		if err := s.window(ctx, o, server); err != nil {
			return err
		}
	}
	s.generator = append(s.generator, (cpuOf(slow)-used).Seconds()/time.Since(begin).Seconds())
	memory, err := server.Tree.Memory()
	if err != nil {
		return err
	}
	s.connected = append(s.connected, float64(established(server.Address)))
	s.memory = append(s.memory, float64(memory.PSS)/(1<<20))
	stop()
	return await(ctx, server.Address, 0)
}

// window measures the honest clients once.
func (s *situation) window(ctx context.Context, o options, server *servers.Server) error {
	used, _ := server.Tree.CPU()
	result, _, err := wrk.Load{URL: "http://" + server.Address + "/", Threads: 1, Conns: honest, Duration: o.duration}.Run(ctx)
	if err != nil {
		return err
	}
	usedAfter, _ := server.Tree.CPU()
	s.perSecond = append(s.perSecond, result.PerSecond)
	s.p99 = append(s.p99, float64(result.P99)/float64(time.Millisecond))
	s.cpu = append(s.cpu, (usedAfter-used).Seconds()*1e6/float64(max(1, result.Requests)))
	s.bad += result.BadStatus + result.Errors.Total()
	return nil
}

// slowClients is a running slowhttptest.
type slowClients struct {
	cmd  *exec.Cmd
	tree *proc.Tree
}

func (c *slowClients) stop() { c.cmd.Process.Kill(); c.cmd.Wait() }

func cpuOf(all []*slowClients) (sum time.Duration) {
	for _, c := range all {
		used, _ := c.tree.CPU()
		sum += used
	}
	return sum
}

// start starts slowhttptest.
func (k kind) start(clients int, address string, duration time.Duration) (*slowClients, error) {
	args := append([]string{"-c", strconv.Itoa(clients), "-r", strconv.Itoa(max(50, clients/4)), "-p", "60",
		"-l", strconv.Itoa(int(windows*duration.Seconds()) + 120), "-v", "0", "-u", "http://" + address + "/" + k.path}, k.args...)
	cmd := exec.Command("slowhttptest", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &slowClients{cmd: cmd, tree: proc.NewTree(cmd.Process.Pid)}, nil
}

// patience bounds how long slow clients take to connect and to go.
const patience = 60 * time.Second

// await waits until there are about n connections, or if n is 0 none.
func await(ctx context.Context, address string, n int) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got := established(address); n == 0 && got == 0 || n > 0 && got >= n*98/100 {
			return nil
		}
		if err := program.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d connections, want %d", established(address), n)
}

// established counts the server's connections.
func established(address string) (n int) {
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	local := fmt.Sprintf(":%04X", number)
	text, _ := os.ReadFile("/proc/net/tcp")
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) > 3 && strings.HasSuffix(f[1], local) && f[3] == "01" {
			n++
		}
	}
	return n
}
