//go:build !linux

package reactor

// bindPortLater has nothing to do: on these systems bind chooses the port.
func bindPortLater(int) {}

// setUserTimeout does nothing: these systems have no such option.
func setUserTimeout(int, int) {}
