//go:build !linux

package main

import "os/exec"

// startBeside starts a child process: other systems have no systemd. ended waits for its end.
func startBeside(cmd *exec.Cmd) (ended func() error, err error) {
	return func() error { return endOf(cmd) }, cmd.Start()
}
