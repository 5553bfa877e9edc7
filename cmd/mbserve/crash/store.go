package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options of a Store.
type Options struct {
	Files       int   // that the directory may have
	Bytes       int64 // that they may have together
	User, Group int   // who writes: the directory must belong to this user
}

// Store is a directory of records.
type Store struct {
	o    Options
	root *os.Root

	writing sync.Mutex // held while the directory is used, which may hang

	mu sync.Mutex // of f. Those who ask for figures must not wait for a disk
	f  StoreFigures
}

// StoreFigures say what has become of records.
type StoreFigures struct {
	Written, Failed, Removed uint64 // since the start
	Files                    int    // that were there when one was last written
	Bytes                    int64
}

// Open opens a directory, and makes it if it is missing. Nobody but its user may look into it.
func Open(dir string, o Options) (*Store, error) {
	if err := makeDir(dir, o); err != nil {
		return nil, err
	}
	named, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, fmt.Errorf("%s is no directory, or a symbolic link", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil && !os.SameFile(named, info) {
		err = fmt.Errorf("%s has just been replaced", dir)
	}
	if err == nil {
		err = private(dir, info, o.User)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	s := &Store{o: o, root: root}
	s.note(s.list())
	return s, nil
}

func makeDir(dir string, o Options) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && o.User != os.Geteuid() {
		err = os.Lchown(dir, o.User, o.Group)
	}
	return err
}

// private returns an error unless the directory is the user's alone.
func private(dir string, info fs.FileInfo, user int) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != user {
		return fmt.Errorf("%s belongs to another user (%d instead of %d)", dir, st.Uid, user)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not private: chmod 700 %s", dir, dir)
	}
	return nil
}

// Close closes the directory.
func (s *Store) Close() error { return s.root.Close() }

// Figures returns what has become of records.
func (s *Store) Figures() StoreFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f
}

// A name begins with the time, so that names sort by it. Errors of handlers are told apart: there may be many of them, and they must
// not displace all others.
const (
	classError = "error"
	classEnd   = "end"
)

var fileName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-(error|end)-[0-9A-Za-z-]{1,80}\.json$`)

// NameOf is the name of the file of a record.
func NameOf(r *Record) string {
	return r.Time.UTC().Format("20060102T150405.000Z") + "-" + class(r) + "-" + r.ID + ".json"
}

func class(r *Record) string {
	if r.Worker.End == "" {
		return classError
	}
	return classEnd
}

// file is a file in the directory.
type file struct {
	name  string
	class string
	size  int64
}

// list returns the records, oldest first. It removes what a process has left that was ended in the middle of writing.
func (s *Store) list() (files []file) {
	d, err := s.root.Open(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	slices.Sort(names)
	for _, name := range names {
		info, err := s.root.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if m := fileName.FindStringSubmatch(name); m != nil {
			files = append(files, file{name, m[1], info.Size()})
		} else if strings.HasSuffix(name, unfinished) && fileName.MatchString(strings.TrimSuffix(name, unfinished)) && time.Since(info.ModTime()) > time.Minute {
			s.root.Remove(name)
		}
	}
	return files
}

const unfinished = ".new"

// note keeps the sums.
func (s *Store) note(files []file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f.Files, s.f.Bytes = len(files), 0
	for _, f := range files {
		s.f.Bytes += f.size
	}
}

// count adds one to a figure.
func (s *Store) count(figure *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*figure++
}

// ErrSize: a record is larger than all may be.
var ErrSize = errors.New("larger than all records may be")

// Write writes a record, and removes old ones if there are too many. It returns the name of the file.
func (s *Store) Write(r *Record) (name string, err error) {
	b, err := encode(r)
	if err != nil {
		return "", err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	name = NameOf(r)
	files := s.list()
	if int64(len(b)) > s.o.Bytes {
		err = ErrSize
	} else {
		files = s.makeRoom(files, class(r), int64(len(b)))
		err = s.write(name, b)
	}
	if err != nil {
		s.count(&s.f.Failed)
		s.note(files)
		return "", err
	}
	s.count(&s.f.Written)
	s.note(append(files, file{size: int64(len(b))}))
	return name, nil
}

// write writes a file as a whole, or not at all.
func (s *Store) write(name string, b []byte) error {
	f, err := s.root.OpenFile(name+unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = s.root.Rename(name+unfinished, name)
	}
	if err != nil {
		s.root.Remove(name + unfinished)
	}
	return err
}

// makeRoom removes the oldest records until there is room for one more. Errors of handlers get half of it.
func (s *Store) makeRoom(files []file, class string, size int64) []file {
	count, bytes := s.o.Files, s.o.Bytes
	if class == classError {
		files = s.trim(files, max(1, count/2), max(size, bytes/2), size, func(f file) bool { return f.class == classError })
	}
	return s.trim(files, count, bytes, size, func(file) bool { return true })
}

// trim removes the oldest of some files until one more of a size fits into the bounds.
func (s *Store) trim(files []file, count int, bytes, size int64, counts func(file) bool) []file {
	n, sum := 1, size
	for _, f := range files {
		if counts(f) {
			n, sum = n+1, sum+f.size
		}
	}
	return slices.DeleteFunc(files, func(f file) bool {
		if !counts(f) || n <= count && sum <= bytes {
			return false
		}
		if s.root.Remove(f.name) == nil {
			s.count(&s.f.Removed)
		}
		n, sum = n-1, sum-f.size
		return true
	})
}
