package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

const (
	directoryMode = 0o700
	fileMode      = 0o600
)

// storage is a directory that only its owner can enter. certmagic makes the files and directories below it private, except for
// those of locks.
type storage struct{ *certmagic.FileStorage }

// Lock implements certmagic.Locker.
func (s storage) Lock(ctx context.Context, name string) error {
	err := s.FileStorage.Lock(ctx, name)
	if err == nil {
		os.Chmod(filepath.Join(s.Path, "locks", certmagic.StorageKeys.Safe(name)+".lock"), fileMode)
	}
	return err
}

// Unlock implements certmagic.Locker. A lock may have been released by the end of the attempt that had it, and by the end of the process.
func (s storage) Unlock(ctx context.Context, name string) error {
	if err := s.FileStorage.Unlock(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// openStorage makes the directory if there is none, and checks whether it can be used.
func openStorage(dir string) error {
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if err := checkStorage(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "check-*")
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkStorage checks a directory, which need not be there yet. Whoever may write in it could put a key there, and have it used.
func checkStorage(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("storage: %w", err)
	case !info.IsDir():
		return fmt.Errorf("storage: %s is not a directory", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("storage: others may write in %s (mode %04o): chmod 700", dir, info.Mode().Perm())
	}
	return nil
}
