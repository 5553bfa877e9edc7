//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// asUser calls fn with what another user may do to files. These systems cannot do that for a single thread.
func asUser(*syscall.Credential, func() error) error { return errors.ErrUnsupported }
