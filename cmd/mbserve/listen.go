package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"moonbridge/engine"
)

// openListener opens an address. With --user, what belongs to it belongs to the user from the start, who has to be able to
// change it later: sockets of different users cannot share a port (see address), and the file of a Unix socket can get other
// permissions at a reload.
func (s *server) openListener(w *wanted, o engine.OpenOptions) (ln *engine.Listener, err error) {
	switch {
	case s.credential == nil || o.Inherited != nil:
		return s.engine.Open(w.network, w.address, o)
	case w.network == "unix":
		return s.openUnix(w, o)
	}
	ln, err = s.engine.Open(w.network, w.address, o)
	if err != nil {
		return nil, err
	}
	files, err := ln.Files()
	for _, f := range files {
		f.Chown(int(s.credential.Uid), int(s.credential.Gid)) // where that fails, the owner does not matter
		f.Close()
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// openUnix opens a Unix socket with the rights of the user, or else of root.
func (s *server) openUnix(w *wanted, o engine.OpenOptions) (ln *engine.Listener, err error) {
	err = asUser(s.credential, func() error {
		ln, err = s.engine.Open(w.network, w.address, o)
		return err
	})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if ln, err = s.engine.Open(w.network, w.address, o); err == nil {
			os.Lchown(w.address, int(s.credential.Uid), int(s.credential.Gid))
		}
		return ln, err
	case !errors.Is(err, fs.ErrPermission):
		return ln, err
	}
	fd, err := listenAsRoot(w.address, s.dir.abs(w.address), o.Mode, s.credential)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", w.address, err)
	}
	o.Inherited = []int{fd}
	return s.engine.Open(w.network, w.address, o)
}
