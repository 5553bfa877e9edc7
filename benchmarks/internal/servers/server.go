package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"moonbridge/benchmarks/internal/cgroup"
	"moonbridge/benchmarks/internal/probe"
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
	Versions string // library versions reported by the server, or ""
	Command  string
	*Process

	dir   string
	group *cgroup.Group // or nil
}

// Start starts a server and waits until it answers a request of the workload with 200.
func (s *Settings) Start(name string, w Workload) (*Server, error) {
	dir, err := os.MkdirTemp(s.Temp, name+"-"+w.Name+"-")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
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
	command := cmd.String()
	if cmd, err = s.Pin(cmd, !w.origin); err != nil {
		return nil, err
	}
	// The folder's name is unique on the machine, since its parent's is.
	cmd, group, err := s.Setting.prepare(cmd, filepath.Base(s.Temp)+"-"+filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	cmd.Dir, cmd.SysProcAttr = dir, s.Setting.attributes()
	process, err := Launch(cmd, filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), remove(group))
	}
	server := &Server{
		Name: name, Address: fmt.Sprintf("127.0.0.1:%d", port), Command: command, Process: process, dir: dir, group: group,
	}
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
	wrong := ""
	err := s.Await(func() error {
		answer, err := probe.GetOnce(w.dial(s.Address), w.Request(s.Address))
		if err == nil && answer.Status != "200 OK" {
			wrong = answer.Status
		}
		return err
	})
	if err == nil && wrong != "" {
		err = fmt.Errorf("it answers %q", wrong)
	}
	return err
}

// Stop ends the server, as Process.Stop does.
func (s *Server) Stop() error {
	err := s.Process.Stop()
	if err != nil {
		err = fmt.Errorf("%s: %w", s.Name, err)
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
