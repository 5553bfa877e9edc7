package static

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// portableDir is an open directory without openat2. os.Root walks below it step by step: no path and no symbolic link leads out.
type portableDir struct {
	path string
	root *os.Root
}

func openPortable(path string) (*portableDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &portableDir{path, root}, nil
}

func (d *portableDir) close() { d.root.Close() }

func (d *portableDir) stat(name string, outside bool) (i info, err error) {
	var fi os.FileInfo
	if outside {
		fi, err = os.Stat(filepath.Join(d.path, name))
	} else {
		fi, err = d.root.Stat(name)
	}
	if err != nil {
		return info{}, err
	}
	switch {
	case fi.Mode().IsRegular():
		return d.statFile(name, outside)
	case fi.IsDir():
		i.kind = kindDirectory
	}
	return i, nil
}

// statFile opens a regular file: only the descriptor tells everything, on every system.
func (d *portableDir) statFile(name string, outside bool) (info, error) {
	f, i, err := d.open(name, outside)
	if err != nil {
		return info{}, err
	}
	f.Release()
	return i, nil
}

func (d *portableDir) open(name string, outside bool) (*file, info, error) {
	const flags = os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	var f *os.File
	var err error
	if outside {
		f, err = os.OpenFile(filepath.Join(d.path, name), flags, 0)
	} else {
		f, err = d.root.OpenFile(name, flags, 0)
	}
	if err != nil {
		return nil, info{}, err
	}
	fd := int(f.Fd())
	i, err := infoOf(fd)
	if err == nil && i.kind != kindFile {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, info{}, err
	}
	return newFile(fd, f), i, nil
}

func (d *portableDir) openDirectory(name string, outside bool) (*os.File, error) {
	if outside {
		return os.Open(filepath.Join(d.path, name))
	}
	return d.root.Open(name)
}
