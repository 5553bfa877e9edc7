//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

// listenAsRoot is not possible on these systems in a way that a user cannot misuse.
func listenAsRoot(string, string, os.FileMode, *syscall.Credential) (int, error) {
	return -1, errors.ErrUnsupported
}
