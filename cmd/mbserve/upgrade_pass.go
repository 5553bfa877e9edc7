package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// passFiles passes the files of this process and its root helper, and connects it with the new process.
func (s *server) passFiles(u *upgrade, pass *passing) error {
	var theirs *os.File
	var err error
	if u.ready, theirs, err = os.Pipe(); err != nil {
		return err
	}
	pass.give("ready", theirs)
	if theirs, u.timers, err = os.Pipe(); err != nil {
		return err
	}
	pass.give("timers", theirs)
	if err := u.connectChannels(pass); err != nil {
		return err
	}
	if s.pid != nil {
		pass.name("pid", s.pid.f)
	}
	if err := s.passLogs(u, pass); err != nil {
		return err
	}
	if s.admin != nil {
		ln, err := s.admin.file()
		if err != nil {
			return err
		}
		pass.give("admin", ln)
		if err := s.admin.passToken(pass); err != nil {
			return err
		}
	}
	if s.root != nil {
		pass.name("root", s.root.conn)
	}
	keys, err := s.tickets.pass()
	if err != nil {
		return err
	}
	pass.give("tickets", keys)
	certs, err := s.certificates.pass()
	if err != nil {
		return err
	}
	if certs != nil {
		pass.give("certs", certs)
	}
	if dir, err := os.Open("."); err == nil {
		pass.give("dir", dir)
	}
	return nil
}

// passLogs passes the files of the logs. If USR1 has come just before, they may be those that were moved away: then the new process is told to
// open them again.
func (s *server) passLogs(u *upgrade, pass *passing) error {
	for name, l := range map[string]*logFile{"log": s.out, "access": s.access.logFile()} {
		if l == nil {
			continue
		}
		stale, err := l.pass(func(f *os.File) error {
			if l == s.out {
				u.log = f
			}
			return pass.copy(name, f)
		})
		if err != nil {
			return err
		}
		u.reopen = u.reopen || stale
	}
	return nil
}

// passListeners lists all listening sockets in the format of upgradeEnv.
func (s *server) passListeners(pass *passing) (string, error) {
	s.listening.Lock()
	defer s.listening.Unlock()
	var list strings.Builder
	for _, a := range s.addresses {
		files, err := a.ln.Files()
		if err != nil {
			return "", err
		}
		list.WriteString(pass.line(a.key, files, a.foreign))
	}
	for k, fds := range s.inherited.foreign {
		var files []*os.File
		for _, fd := range fds {
			other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			if err != nil {
				return "", os.NewSyscallError("dup", err)
			}
			files = append(files, os.NewFile(uintptr(other), k))
		}
		list.WriteString(pass.line(k, files, true))
	}
	return list.String(), nil
}

// line passes the sockets of an address, and arranges for them to be closed in this process.
func (p *passing) line(k string, files []*os.File, foreign bool) string {
	p.close = append(p.close, files...)
	var numbers []string
	for _, f := range files {
		numbers = append(numbers, p.add(f))
	}
	line := k + "=" + strings.Join(numbers, ",")
	if foreign {
		line += foreignMark
	}
	return line + "\n"
}

// passing collects the files for a new process.
type passing struct {
	files []*os.File // descriptors 3 and up
	close []*os.File // to be closed in this process
	named []string   // fields of heirEnv
}

// name passes a file under a name.
func (p *passing) name(name string, f *os.File) { p.named = append(p.named, name+"="+p.add(f)) }

// copy is name for a file that may be a pipe. To pass the file itself would make writes to it block the whole process that has the pipe
// open, so that a pipe which nothing reads could not be closed any more.
func (p *passing) copy(name string, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	other := -1
	if failed := raw.Control(func(fd uintptr) { other, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }); failed != nil {
		return failed
	}
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	p.give(name, os.NewFile(uintptr(other), name))
	return nil
}

// give is name for a file that is closed in this process.
func (p *passing) give(name string, f *os.File) {
	p.close = append(p.close, f)
	p.name(name, f)
}

// add returns the number that a file will have.
func (p *passing) add(f *os.File) string {
	p.files = append(p.files, f)
	return strconv.Itoa(2 + len(p.files))
}

func (p *passing) done() {
	for _, f := range p.close {
		f.Close()
	}
}
