package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"moonbridge/reactor/reactortest"
)

// Names lists the servers that can be started, in the order of the reports.
var Names = []string{"mbserve", "nginx", "caddy", "nethttp", "fasthttp", "onloop", "adapter", "gnet", "proxy", "tcpproxy", "haproxy", "reverseproxy", "iocopy", "limit"}

// Lean is the name of a load generator that Check builds, and that LeanPath returns.
const Lean = "lean"

// LeanPath returns the path of the load generator Lean.
func (s *Settings) LeanPath() string { return s.peer(Lean) }

// Floor is the name of a server that Check builds, and that FloorCommand starts.
const Floor = "floor"

// Settings says how servers are started. It must not be changed after Check.
type Settings struct {
	Benchmarks string // the folder benchmarks of the source tree, absolute
	Temp       string // an existing folder for binaries, configurations and logs, absolute

	Mbserve        string   // path of the binary
	MbserveFlags   []string // further arguments before the script
	MbserveOptions []string // name=value, given to the script

	NginxModules    string // folder of nginx's loadable modules
	NginxWorkers    int    // 0: one per core
	NginxReuseport  bool
	NginxAffinity   bool
	NginxNoSendfile bool

	Setting     Setting // "" is Apart
	Connections int     // largest number of connections that a server must hold
	Files       int     // open file limit of this process
}

// SplitNames splits a comma-separated list of server names. Unknown and repeated names are errors.
func SplitNames(list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case !slices.Contains(Names, name):
			return nil, fmt.Errorf("unknown server %q; the servers are %s", name, strings.Join(Names, ", "))
		case slices.Contains(names, name):
			return nil, fmt.Errorf("server %q is named twice", name)
		}
		names = append(names, name)
	}
	return names, nil
}

// Prepare makes the folder Temp, which Remove removes, raises the limit of open files to at least files, and checks the servers.
func (s *Settings) Prepare(files int, names ...string) (err error) {
	if s.Files, err = RaiseFiles(files); err != nil {
		return err
	}
	if s.Temp, err = os.MkdirTemp("", "moonbridge-benchmarks-"); err != nil {
		return err
	}
	if err = s.Check(names); err != nil {
		s.Remove()
	}
	return err
}

// Remove removes the folder Temp with all that is in it.
func (s *Settings) Remove() { os.RemoveAll(s.Temp) }

// Check reports what is missing for these servers before any is started, builds the peers, and writes the certificate.
func (s *Settings) Check(names []string) error {
	if err := s.Setting.Check(); err != nil {
		return err
	}
	if err := s.writeCertificate(); err != nil {
		return err
	}
	var missing []error
	for _, name := range names {
		if err := s.checkOne(name); err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(missing) > 0 {
		missing = append(missing, fmt.Errorf("leave servers out with -servers, for example -servers %s", others(names, missing)))
	}
	return errors.Join(missing...)
}

// others lists the servers that are not missing, as an example of what works.
func others(names []string, missing []error) string {
	var there []string
	for _, name := range names {
		if !slices.ContainsFunc(missing, func(err error) bool { return strings.HasPrefix(err.Error(), name+":") }) {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return "nethttp"
	}
	return strings.Join(there, ",")
}

func (s *Settings) checkOne(name string) error {
	switch name {
	case "mbserve":
		info, err := os.Stat(s.Mbserve)
		if err != nil {
			return fmt.Errorf("no binary: %w; build it with make, or specify it with -mbserve", err)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file", s.Mbserve)
		}
	case "nginx":
		if _, err := exec.LookPath("nginx"); err != nil {
			return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
		}
		for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
			if _, err := os.Stat(filepath.Join(s.NginxModules, module)); err != nil {
				return fmt.Errorf("no Lua module: %w; benchmarks/install.sh installs it, -nginx-modules sets its folder", err)
			}
		}
	case "caddy", "haproxy":
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
		}
	case "limit", Floor, Lean:
		return s.build("cc", "-std=gnu11", "-O2", "-pthread", "-o", s.peer(name), "peers/"+name+"/"+name+".c")
	default:
		return s.build("go", "build", "-buildvcs=false", "-o", s.peer(name), "./peers/"+name)
	}
	return nil
}

// build runs a compiler in the folder benchmarks.
func (s *Settings) build(compiler string, args ...string) error {
	cmd := exec.Command(compiler, args...)
	cmd.Dir = s.Benchmarks
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", compiler, err, out)
	}
	return nil
}

func (s *Settings) peer(name string) string { return filepath.Join(s.Temp, "peer-"+name) }

func (s *Settings) nginxWorkers() int {
	if s.NginxWorkers > 0 {
		return s.NginxWorkers
	}
	return s.serverCores()
}

// command returns the command that starts a server. dir is a separate folder for it.
func (s *Settings) command(name string, w Workload, port int, dir string) (*exec.Cmd, error) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cert, key := s.Certificate()
	switch name {
	case "mbserve":
		var args []string
		if w.accessLog {
			args = append(args, "--access-log", filepath.Join(dir, accessLogName))
		}
		args = append(args, s.MbserveFlags...)
		args = append(args, filepath.Join(s.Benchmarks, "scripts", w.handlerName()+".lua"), fmt.Sprint(port))
		if w.tls {
			args = append(args, "cert="+cert, "key="+key)
		}
		// The user's options come last and so override those of the workload.
		args = append(append(args, w.mbOptions...), s.MbserveOptions...)
		return exec.Command(s.Mbserve, args...), nil
	case "nginx":
		config, err := s.writeNginxConfig(w, port, dir)
		if err != nil {
			return nil, err
		}
		return exec.Command("nginx", "-p", dir, "-c", config, "-e", filepath.Join(dir, "nginx.err")), nil
	case "caddy":
		return caddyCommand(address, dir)
	case "haproxy":
		return s.haproxyCommand(w, address, dir)
	case "proxy", "tcpproxy", "reverseproxy", "iocopy":
		args := []string{address, w.upstream}
		if w.targetTLS {
			args = append(args, cert, key)
		}
		return exec.Command(s.peer(name), args...), nil
	case "gnet", "limit":
		return exec.Command(s.peer(name), address, w.Name), nil // what they send depends on more than the handler
	default:
		args := []string{address, w.handlerName()}
		if w.tls {
			args = append(args, cert, key)
		}
		return exec.Command(s.peer(name), args...), nil
	}
}

// FloorCommand returns the command that starts the floor at an address.
func (s *Settings) FloorCommand(address string, threads int) *exec.Cmd {
	return exec.Command(s.peer(Floor), address, strconv.Itoa(threads))
}

// FreePort returns a port of 127.0.0.1 for a server. No other program is given it until this one ends.
func FreePort() (port int, err error) {
	address, _, err := reactortest.Reserve()
	return int(address.Port()), err
}
