//go:build !linux

package reactor

// bindPortLater has nothing to do: on these systems bind chooses the port.
func bindPortLater(int) {}
