package main

import (
	"errors"
	"io/fs"
	"os"

	"moonbridge/reactor"
)

// With --user, the logs and the pid file are opened with the rights of that user if they suffice. Otherwise root opens them:
// the server itself as long as it is root, later the root helper.

// How the files are opened.
const (
	logFlag = os.O_WRONLY | os.O_APPEND
	pidFlag = os.O_RDWR // what the file has is looked at before it is overwritten
)

// startHelper starts the root helper if this process is going to give up root privileges and has files.
func (s *server) startHelper() error {
	if s.heir != nil {
		s.root = s.heir.root
		return nil
	}
	user := s.o.privileges.credential()
	if user == nil || user.Uid == 0 {
		return nil
	}
	files := make(map[string]string)
	for name, path := range map[string]string{rootLog: s.o.logFile, rootAccess: s.o.accessLog, rootPid: s.o.pidFile} {
		if path != "" && path != "-" {
			files[name] = s.dir.abs(path)
		}
	}
	if path, ok := files[rootPid]; ok {
		files[rootPid] = reactor.WithoutLinks(path) // it is removed where it was made
	}
	if len(files) == 0 {
		return nil
	}
	var err error
	s.root, err = startRootFiles(user, files)
	return err
}

// opener returns a function that opens one of the files, now or later.
func (s *server) opener(name string, flag int) func(path string) (*os.File, error) {
	return func(path string) (f *os.File, err error) {
		user := s.o.privileges.credential()
		asRoot := user != nil && os.Geteuid() == 0
		if asRoot {
			err = asUser(user, func() error {
				f, err = openForWriting(path, flag)
				return err
			})
		} else {
			f, err = openForWriting(path, flag)
		}
		switch {
		case err == nil || !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported):
			return f, err
		case asRoot:
			return openGuarded(s.dir.abs(path), flag, user)
		case s.root != nil && name != rootPid:
			return s.root.ask(name, nil)
		}
		return nil, err
	}
}

func openForWriting(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|flag, 0o644)
	if perr, ok := errors.AsType[*os.PathError](err); ok {
		err = perr.Err
	}
	return f, err
}
