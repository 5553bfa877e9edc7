package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// jobs is an application with a timer whose tick waits at a FIFO, and another that shows that time passes.
type jobs struct {
	*application
	fifo string // each tick takes a byte of it: see letGo
	list string // file with the lines "begins" and "ends"
}

func newJobs(t testing.TB) *jobs {
	j := &jobs{application: newApplication(t)}
	j.fifo, _ = newFIFO(t)
	j.list = filepath.Join(filepath.Dir(j.script), "jobs")
	return j
}

// write writes the script of a generation. listener is that of the slow timer, without its function.
func (j *jobs) write(generation int, listener string) {
	j.application.write(`
		local function note(word)
			local f = io.open(%q, "a")
			f:write(word, "\n")
			f:close()
		end
		listen{ { proto = "interval", name = "pulse", delay = 0.01, connect = function() io.stderr:write("pulse %d\n") end } }
		listen{ { proto = "interval", %s, delay = 0.01, connect = function()
			note("begins")
			local gate = io.open(%q, "r+")
			gate:read(1)
			gate:close()
			note("ends")
		end } }`, j.list, generation, listener, j.fifo)
}

// letGo lets one tick go. If it only opened the FIFO, ticks that begin before it is closed again would go, too, and on a busy machine that may
// be many. It returns false if no tick waits.
func (j *jobs) letGo() bool {
	j.t.Helper()
	fd, err := syscall.Open(j.fifo, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, []byte("x"))
	return err == nil
}

func (j *jobs) count(word string) int {
	text, _ := os.ReadFile(j.list)
	return strings.Count(string(text), word)
}

// pulses waits until the other timer of a generation has ticked some more times.
func (j *jobs) pulses(s *instance, generation int) {
	j.t.Helper()
	for range 10 {
		s.log.wait(j.t, s.log.size(), fmt.Sprintf("pulse %d", generation))
	}
}

// end ends the running tick, and waits for the next one, which must be the only one.
func (j *jobs) end() {
	j.t.Helper()
	before := j.count("begins")
	eventually(j.t, "a tick waits", j.letGo)
	eventually(j.t, "another tick begins", func() bool { return j.count("begins") > before })
	if begun, ended := j.count("begins"), j.count("ends"); begun != ended+1 {
		j.t.Errorf("%d ticks have begun, %d have ended", begun, ended)
	}
}

// stop ends the server, whose process is pid now. Until it has ended, each tick is let go: one that begins before the server stops would
// keep it for the grace time.
func (j *jobs) stop(s *instance, pid int) {
	j.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		j.t.Fatal(err)
	}
	eventually(j.t, "all processes end", func() bool { j.letGo(); return len(marked(s.mark)) == 0 })
	if pid == s.pid() {
		s.exit(0)
	} else {
		s.gone()
	}
}

// Over a reload, a timer still has one tick at a time, even if the old script is killed in the middle of one.
func TestReloadTimerDoesNotOverlap(t *testing.T) {
	for _, listener := range []string{`name = "job"`, `name = "job", strict = true`, `strict = false`} {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			j := newJobs(t)
			j.write(0, listener)
			s := start(t, "--grace", "1", j.script)
			eventually(t, "the tick begins", func() bool { return j.count("begins") == 1 })
			j.write(1, listener)
			s.mustReload()
			j.pulses(s, 1)
			if n := j.count("begins"); n != 1 {
				t.Errorf("%d ticks are running after the reload", n)
			}
			j.end()
			s.wait("the replaced script has ended")
			j.pulses(s, 1)

			j.write(2, listener)
			s.mustReload()
			j.write(3, listener)
			s.mustReload() // kills the tick, after the grace time
			s.wait("the replaced script did not end by itself")
			eventually(t, "another tick begins", func() bool { return j.count("begins") == 3 })
			j.pulses(s, 3)
			if n := j.count("begins"); n != 3 {
				t.Errorf("%d ticks have begun after the kill", n)
			}
			j.stop(s, s.pid())
		})
	}
}

// newWaitingTick is an application with a pool of one worker, which a tick of generation 0 keeps busy until open is called, while
// a tick of another timer waits for it.
func newWaitingTick(t *testing.T) (write func(generation int), script string, open func()) {
	a := newApplication(t)
	fifo, open := newFIFO(t)
	return func(generation int) {
		a.write(`
			local generation = %d
			local function timer(name, delay)
				return { proto = "interval", name = name, delay = delay, connect = function()
					io.stderr:write(name, " of ", generation, "\n")
					if name == "slow" and generation == 0 then io.open(%q):close() end
				end }
			end
			listen{ timer("slow", 0.01), timer("waiting", 0.02), min_fork = 1, max_fork = 1 }
			listen{ timer("free", 0.1) }`, generation, fifo)
	}, a.script, open
}

// A tick that waits for a worker of the old script, which is busy, begins in the new script.
func TestWaitingTickBegins(t *testing.T) {
	for _, how := range []string{"reload", "upgrade"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			write, script, open := newWaitingTick(t)
			write(0)
			pid := filepath.Join(filepath.Dir(script), "pid")
			s := start(t, "-p", pid, "--grace", "1000000", script)
			s.wait("slow of 0")
			for range 2 {
				s.log.wait(t, s.log.size(), "free of 0") // when it has ticked twice, the tick that is due sooner is in the queue
			}
			write(1)
			if how == "reload" {
				s.mustReload()
			} else {
				s.signal(syscall.SIGUSR2)
				s.wait("handed over")
			}
			s.wait("waiting of 1")
			if strings.Contains(s.log.String(), "slow of 1") {
				t.Error("the tick that is running overlaps with another one")
			}
			open()
			s.wait("slow of 1")
			if strings.Contains(s.log.String(), "waiting of 0") {
				t.Error("the tick has begun twice")
			}
			if how == "upgrade" {
				s.awaitExit()
				s.endOf(pidIn(t, pid))
			}
		})
	}
}

// pidIn reads a pid file.
func pidIn(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return number(t, strings.TrimSpace(string(text)))
}

// A script that does not come into use does not stop the timers of the running one.
func TestReloadBrokenKeepsTimers(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	j.write(0, `name = "job"`)
	s := start(t, j.script)
	eventually(t, "the tick begins", func() bool { return j.count("begins") == 1 })
	j.application.write(`listen{
		{ proto = "interval", name = "job", delay = 0.01, connect = function() end },
		{ proto = "interval", name = "pulse", delay = 0.01, connect = function() end },
		prepare = function() error("on purpose") end }`)
	if line := s.reload(); !strings.Contains(line, "reload failed") {
		t.Fatal(line)
	}
	j.pulses(s, 0)
	j.end()
	j.stop(s, s.pid())
}

// Reloads do not push a timer back: its next tick comes when it would have come without them.
func TestReloadKeepsRhythm(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`listen{ { proto = "interval", name = "job", delay = 1.5, connect = function() io.stderr:write("tick\n") end } }`)
	s := start(t, a.script)
	eventually(t, "the timer ticks although the script is reloaded all the time", func() bool {
		s.mustReload()
		return strings.Contains(s.log.String(), "tick")
	})
}

// A new process does not begin a tick while one is running in the old process, however that ends.
func TestUpgradeTimerDoesNotOverlap(t *testing.T) {
	for _, end := range []string{"the tick ends", "the grace time is over", "the old process is killed"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			j := newJobs(t)
			j.write(0, `name = "job"`)
			pidName := filepath.Join(filepath.Dir(j.script), "pid")
			grace := "1000000"
			if end == "the grace time is over" {
				grace = "1"
			}
			s := start(t, "-p", pidName, "--grace", grace, j.script)
			eventually(t, "the tick begins", func() bool { return j.count("begins") == 1 })
			j.write(1, `name = "job"`)
			s.signal(syscall.SIGUSR2)
			s.wait("handed over")
			j.pulses(s, 1)
			switch end {
			case "the tick ends":
				if n := j.count("begins"); n != 1 {
					t.Errorf("%d ticks are running", n)
				}
				j.end()
			case "the grace time is over":
				s.wait("workers were killed")
				eventually(t, "another tick begins", func() bool { return j.count("begins") == 2 })
			case "the old process is killed":
				if n := j.count("begins"); n != 1 {
					t.Errorf("%d ticks are running", n)
				}
				kill(t, s.pid())
				s.wait("the old process has not reported the end of its timers")
				eventually(t, "another tick begins", func() bool { return j.count("begins") == 2 })
			}
			s.awaitExit()
			j.pulses(s, 1)
			j.stop(s, pidIn(t, pidName))
		})
	}
}

// A process that takes over from one which itself waits for an older one waits for both.
func TestUpgradeTwiceTimerDoesNotOverlap(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	j.write(0, `name = "job"`)
	pidName := filepath.Join(filepath.Dir(j.script), "pid")
	s := start(t, "-p", pidName, "--grace", "1000000", j.script)
	eventually(t, "the tick begins", func() bool { return j.count("begins") == 1 })
	pid := s.pid()
	for generation := 1; generation <= 2; generation++ {
		j.write(generation, `name = "job"`)
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		j.pulses(s, generation)
		eventually(t, "the pid file has the new process", func() bool {
			text, _ := os.ReadFile(pidName)
			old := pid
			if n := strings.TrimSpace(string(text)); n != "" {
				pid = number(t, n)
			}
			return pid != old
		})
	}
	j.pulses(s, 2)
	if n := j.count("begins"); n != 1 {
		t.Errorf("%d ticks are running", n)
	}
	j.end()
	s.awaitExit()
	j.stop(s, pid)
}
