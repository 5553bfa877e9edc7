package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/proc"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	probeTimeout = 5 * time.Second
)

// Server is a running server with all its processes.
type Server struct {
	Name     string
	Address  string // host:port
	Tree     *proc.Tree
	Versions string // what the server told of its libraries, or ""
	Command  string

	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process was waited for
}

// Start starts a server and waits until it answers a request of the workload with 200.
func (s *Settings) Start(name string, w Workload) (*Server, error) {
	dir, err := os.MkdirTemp(s.Temp, name+"-"+w.Name+"-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd, err := s.command(name, w, port, dir)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	// A session of its own: its processes are told apart by it, and a Ctrl-C ends them through Stop.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	server := &Server{
		Name: name, Address: fmt.Sprintf("127.0.0.1:%d", port), Tree: proc.NewTree(cmd.Process.Pid),
		Command: cmd.String(), dir: dir, cmd: cmd, ended: make(chan struct{}),
	}
	go func() {
		cmd.Wait() // its error is no news: Running and the log tell of an early end
		close(server.ended)
	}()
	if err := server.awaitReady(w); err != nil {
		err = fmt.Errorf("%s does not serve: %w\n%s\n%s", name, err, server.Command, server.LogTail())
		return nil, errors.Join(err, server.Stop())
	}
	if name == "nginx" {
		server.Versions = nginxVersions(dir)
	}
	return server, nil
}

func (s *Server) awaitReady(w Workload) error {
	deadline := time.Now().Add(startTimeout)
	for {
		first, _, err := probe.Get(s.Address, w.Request(s.Address), probeTimeout)
		switch {
		case !s.Running():
			return fmt.Errorf("it ended with %v", s.cmd.ProcessState)
		case err == nil && first.Status != "200 OK":
			return fmt.Errorf("it answers %q", first.Status)
		case err == nil:
			s.Tree.PIDs() // learn who belongs to it
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Running tells whether the first process still runs.
func (s *Server) Running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Stop ends the server: by SIGTERM to its first process, and after ten seconds by SIGKILL to all that are left of its
// processes. It is an error if the first process had to be killed.
func (s *Server) Stop() error {
	s.Tree.PIDs() // also those who joined since
	s.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	var err error
	select {
	case <-s.ended:
	case <-limit.C:
		err = fmt.Errorf("%s did not end within %v after SIGTERM", s.Name, stopTimeout)
	}
	deadline := time.Now().Add(stopTimeout)
	for pids := s.Tree.PIDs(); len(pids) > 0; pids = s.Tree.PIDs() {
		if time.Now().After(deadline) {
			return errors.Join(err, fmt.Errorf("%s: processes %v cannot be ended", s.Name, pids))
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// LogTail returns the end of what the server wrote, for error messages.
func (s *Server) LogTail() string {
	const bytesMax = 4096
	var out []byte
	for _, name := range []string{"log", "nginx.err"} {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			continue
		}
		out = append(out, text[max(0, len(text)-bytesMax):]...)
	}
	return string(out)
}
