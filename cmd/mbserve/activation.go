package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"moonbridge/reactor"
)

// inherited holds listening sockets that another process has opened for us: the service manager, or the server that we
// take over from. A listener of the script takes those with its address.
type inherited struct {
	byKey   map[string][]int
	foreign bool // opened by the service manager, which removes files of Unix sockets itself
}

// key identifies a listening socket by network and address, in the form that the script uses.
func key(network, address string) string { return network + " " + address }

// inheritListeners reads the environment variables about listening sockets, and removes them, since they are not meant
// for our child processes.
func inheritListeners() (*inherited, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", upgradeEnv} {
			os.Unsetenv(name)
		}
	}()
	if list := os.Getenv(upgradeEnv); list != "" {
		return inheritFromServer(list)
	}
	return inheritFromManager(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"))
}

// inheritFromManager follows sd_listen_fds(3): the sockets are descriptors 3 and up.
func inheritFromManager(pid, count string) (*inherited, error) {
	in := &inherited{byKey: make(map[string][]int), foreign: true}
	if pid == "" || pid != strconv.Itoa(os.Getpid()) {
		return in, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<16 {
		return nil, fmt.Errorf("LISTEN_FDS=%s: not a number of sockets", count)
	}
	for fd := 3; fd < 3+n; fd++ {
		unix.CloseOnExec(fd)
		network, address, err := reactor.SocketAddress(fd)
		if err != nil {
			return nil, fmt.Errorf("socket %d from the service manager: %w", fd, err)
		}
		in.byKey[key(network, address)] = append(in.byKey[key(network, address)], fd)
	}
	return in, nil
}

// upgradeEnv lists the listening sockets that a server passes to its successor: lines of "network address=fd,fd".
const upgradeEnv = "MOONBRIDGE_LISTENERS"

func inheritFromServer(list string) (*inherited, error) {
	in := &inherited{byKey: make(map[string][]int)}
	for line := range strings.Lines(list) {
		k, numbers, ok := cutLast(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is malformed", upgradeEnv, line)
		}
		for number := range strings.SplitSeq(numbers, ",") {
			fd, err := strconv.Atoi(number)
			if err != nil || fd < 3 {
				return nil, fmt.Errorf("%s: %q is not a descriptor", upgradeEnv, number)
			}
			unix.CloseOnExec(fd)
			in.byKey[k] = append(in.byKey[k], fd)
		}
	}
	return in, nil
}

// cutLast is like strings.Cut, but cuts at the last separator: a path may contain others.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// takeSockets returns the sockets for a listener, or nil if there are none. The caller owns them.
func (in *inherited) takeSockets(network, address string) []int {
	if in == nil {
		return nil
	}
	fds := in.byKey[key(network, address)]
	delete(in.byKey, key(network, address))
	return fds
}

// closeRest closes the sockets that no listener has taken, and returns their keys.
func (in *inherited) closeRest() (keys []string) {
	for k, fds := range in.byKey {
		keys = append(keys, k)
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	clear(in.byKey)
	return keys
}
