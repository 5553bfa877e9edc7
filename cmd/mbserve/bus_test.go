package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"moonbridge/reactor/reactortest"
)

// store is a Redis or NATS server that can be killed and started again; it keeps its data.
type store struct {
	t       *testing.T
	address string
	url     string
	cmd     *exec.Cmd
	args    []string
	name    string
}

func redisStore(t *testing.T) *store {
	program, err := exec.LookPath("redis-check-rdb") // see redisServer
	if err != nil {
		t.Skip("redis-tools is not installed")
	}
	s := &store{t: t, address: reactortest.FreePort(t), name: "redis-server"}
	_, port, _ := net.SplitHostPort(s.address)
	s.url = "redis://:secret@" + s.address
	s.args = []string{program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir(), "--requirepass", "secret"}
	return s
}

func natsStore(t *testing.T) *store {
	out, err := exec.Command("go", "-C", "bus/natsserver", "tool", "-n", "nats-server").Output()
	if err != nil {
		t.Skip("the NATS server cannot be built: ", err)
	}
	s := &store{t: t, address: reactortest.FreePort(t), name: "nats-server"}
	_, port, _ := net.SplitHostPort(s.address)
	s.url = "nats://secret@" + s.address
	s.args = []string{strings.TrimSpace(string(out)), "-a", "127.0.0.1", "-p", port, "-js", "-sd", t.TempDir(), "--auth", "secret"}
	return s
}

func (s *store) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Args[0] = s.name
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, s.name+" listens", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *store) end() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Two servers behind HAProxy share a bus. Clients come to one and go on at the other; the scripts are reloaded, a process is replaced,
// and the bus is killed. No client misses a message of a publisher, gets one twice, or in another order.
func TestBusEndure(t *testing.T) {
	t.Parallel()
	for name, peer := range map[string]func(*testing.T) *store{"redis": redisStore, "nats": natsStore} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testBus(t, peer(t))
		})
	}
}

func testBus(t *testing.T, bus *store) {
	bus.start()
	defer bus.end()
	dir := t.TempDir()
	pidName, file := filepath.Join(dir, "pid"), filepath.Join(dir, "bus")
	if err := os.WriteFile(file, []byte(bus.url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, "--stats", "--admin", "127.0.0.1:0", "--bus-file", file, "testdata/channels.lua", patient)
	b := start(t, "--bus", bus.url, "-p", pidName, "testdata/channels.lua", patient)
	front := haproxy(t, "http", a.address(0)+"\n\tserver two "+b.address(0))
	const clients = 6
	ends := make(chan error, clients)
	for n := range clients {
		l := &follower{t: t, url: "http://" + front + "/?c=room:a&c=room:b"}
		if err := l.connect(); err != nil {
			t.Fatal(err)
		}
		go func() { ends <- l.followTwo(n) }()
	}
	var stop atomic.Bool
	var counts [2]atomic.Int64
	publishers := make(chan struct{})
	for i, s := range []*instance{a, b} {
		go func() {
			defer func() { publishers <- struct{}{} }()
			post := func(data string) {
				_, got, err := fetchMeanwhile("POST", s.url("/"), fmt.Sprintf(`return channel.publish("room:%c", %q)`, "ab"[i], data))
				if err != nil || strings.HasPrefix(got, "nil") {
					t.Errorf("publish: %s, %v", got, err)
				}
			}
			for n := 1; !stop.Load() && !t.Failed(); n++ {
				post(fmt.Sprintf("%c%d", "ab"[i], n))
				counts[i].Store(int64(n))
			}
			post("end")
		}()
	}
	enough := func(what string) {
		t.Helper()
		x, y := counts[0].Load(), counts[1].Load()
		eventually(t, what, func() bool { return counts[0].Load() > x+20 && counts[1].Load() > y+20 })
	}
	enough("messages at the beginning")
	a.signal(syscall.SIGHUP)
	a.wait("msg=reloaded")
	bus.end()
	a.wait("bus away")
	enough("messages while the bus is away")
	bus.start()
	enough("messages when it is back")
	pid := replaceProcess(t, b.pid(), pidName)
	enough("messages at the end")
	stop.Store(true)
	<-publishers
	<-publishers
	for range clients {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	figures := a.figures()
	if figures["moonbridge_bus_connected"] != 1 || figures["moonbridge_bus_sent_total"] < 60 || figures["moonbridge_bus_received_total"] < 60 ||
		figures["moonbridge_bus_dropped_total"]+figures["moonbridge_bus_gaps_total"] != 0 {
		t.Errorf("figures: %v", figures)
	}
	a.stop()
	a.wait("msg=bus", "sent=", "gaps=0")
	b.awaitExit()
	b.endOf(pid)
	if text := a.log.String() + b.log.String(); strings.Contains(text, "secret") {
		t.Error("the password is in the log")
	}
}

// followTwo checks that the messages of two publishers are numbers in their order, to the end of both.
func (l *follower) followTwo(n int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), 2))
	last := map[byte]int{}
	for ended := 0; ended < 2; {
		data, err := l.next()
		if err != nil {
			return fmt.Errorf("client %d after %v: %w", n, last, err)
		}
		if data == "end" {
			ended++
			continue
		}
		if i, err := strconv.Atoi(data[1:]); err != nil || i != last[data[0]]+1 {
			return fmt.Errorf("client %d: %s after %v", n, data, last)
		}
		last[data[0]]++
		if rnd.IntN(30) == 0 {
			l.body.Close() // it connects again, to the other server
		}
	}
	return l.body.Close()
}

// The address may come from the environment. Only the operator's own process has it: neither its children nor the log show it.
func TestBusSecret(t *testing.T) {
	bus := redisStore(t)
	bus.start()
	defer bus.end()
	script := writeScript(t, `
		local http = require "moonbridge_http"
		local seen = os.getenv("MBSERVE_BUS")
		listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 2, connect = http.generate_handler(function(request)
			request:send_status("200 OK")
			request:send_data("script " .. tostring(seen) .. ", worker " .. tostring(os.getenv("MBSERVE_BUS")))
		end) }`)
	check := func(name string, s *instance) {
		s.wait("msg=\"bus connected\"", "bus=redis://"+bus.address)
		s.wait("msg=ready")
		if _, got, err := fetch("GET", s.url("/"), ""); err != nil || strings.Contains(got, "secret") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		eventually(t, "workers", func() bool { return len(s.workers()) >= 2 })
		for _, pid := range append(s.forkServers(), s.workers()...) {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || strings.Contains(string(line), "secret") {
				t.Errorf("%s: the command line of process %d is %q, %v", name, pid, line, err)
			}
		}
		if strings.Contains(s.log.String(), "secret") {
			t.Errorf("%s: the log shows the password", name)
		}
	}
	check("--bus", start(t, "--stats", "--bus", bus.url, script))
	t.Setenv("MBSERVE_BUS", bus.url)
	check("MBSERVE_BUS", start(t, "--stats", script))
	t.Setenv("MBSERVE_BUS", "redis://:secret@host:x")
	if _, err := parseOptions([]string{script}); err == nil || err.Error() != "MBSERVE_BUS: a host is missing, or a port is not a number" {
		t.Error(err)
	}
	if o, err := parseOptions([]string{"--bus", "redis://other", script}); err != nil || o.busAddress.String() != "redis://other:6379" {
		t.Errorf("the option does not come before the environment: %v", err)
	}
}

func TestBusOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bus")
	if err := os.WriteFile(file, []byte("redis://:secret@host:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ option, value, want string }{
		{"--bus", "http://secret@host", "--bus: its scheme is not"},
		{"--bus", "redis://secret@:1", "--bus: a host is missing"},
		{"--bus-file", file, "--bus-file: a host is missing"},
		{"--bus-file", file + "x", "no such file"},
		{"--bus-file", "/dev/null", "--bus-file: it is not a URL"},
	} {
		if _, err := parseOptions([]string{c.option, c.value, "testdata/channels.lua"}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %s: %v, want %s", c.option, c.value, err, c.want)
		}
	}
	if _, err := parseOptions([]string{"--bus", "redis://host", "--bus-file", file, "x"}); err == nil {
		t.Error("both options are taken")
	}
}
