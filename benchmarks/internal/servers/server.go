package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/cgroup"
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
	Versions string // library versions reported by the server, or ""
	Command  string

	dir   string
	group *cgroup.Group // or nil
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process has been waited for
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
	if err := w.writePublic(dir); err != nil {
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
	command := cmd.String()
	// The folder's name is unique on the machine, since its parent's is.
	cmd, group, err := s.Setting.prepare(cmd, filepath.Base(s.Temp)+"-"+filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = s.Setting.attributes()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), remove(group))
	}
	server := &Server{
		Name: name, Address: fmt.Sprintf("127.0.0.1:%d", port), Tree: proc.NewTree(cmd.Process.Pid),
		Command: command, dir: dir, group: group, cmd: cmd, ended: make(chan struct{}),
	}
	go func() {
		cmd.Wait() // the error is not needed: Running and the log show an early end
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

// Use starts a server, calls fn with it, and stops it. An error of fn is returned with the end of the server's output.
func (s *Settings) Use(name string, w Workload, fn func(*Server) error) error {
	server, err := s.Start(name, w)
	if err != nil {
		return err
	}
	if err = fn(server); err != nil {
		err = fmt.Errorf("%w\n%s", err, server.LogTail())
	}
	return errors.Join(err, server.Stop())
}

// remove removes a control group, if there is one.
func remove(group *cgroup.Group) error {
	if group == nil {
		return nil
	}
	return group.Remove()
}

func (s *Server) awaitReady(w Workload) error {
	deadline := time.Now().Add(startTimeout)
	for {
		answer, err := probe.GetOnce(s.Address, w.Request(s.Address), probeTimeout)
		switch {
		case !s.Running():
			return fmt.Errorf("it ended with %v", s.cmd.ProcessState)
		case err == nil && answer.Status != "200 OK":
			return fmt.Errorf("it answers %q", answer.Status)
		case err == nil:
			s.Tree.PIDs() // record its processes
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Running reports whether the first process is still running.
func (s *Server) Running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Stop ends the server: it sends SIGTERM to the first process, and after ten seconds SIGKILL to all remaining
// processes. It returns an error if the first process had to be killed. Calling it again has no effect.
func (s *Server) Stop() error {
	s.Tree.PIDs() // including processes started since
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
	err = errors.Join(err, remove(s.group))
	s.group = nil
	return err
}

// accessLogName is the file in a server's folder that its access log goes to.
const accessLogName = "access.log"

// EmptyAccessLog removes what the access log holds, so that it does not fill the disk in a long comparison. Servers open
// the file for appending.
func (s *Server) EmptyAccessLog() error {
	err := os.Truncate(filepath.Join(s.dir, accessLogName), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// LogTail returns the end of the server's output, for error messages.
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

// Signal sends a signal to the first process.
func (s *Server) Signal(signal os.Signal) error { return s.cmd.Process.Signal(signal) }
