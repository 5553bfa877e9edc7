package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"moonbridge/reactor"
)

// inherited holds listening sockets that another process has opened for us.
type inherited struct {
	// foreign are those of the service manager, by key. They stay open even if no listener of the script uses them, since the
	// manager keeps them open anyway: another generation may use them.
	foreign map[string][]int
	// own are those of the server that we take over from, in the order of its addresses.
	own []passedSockets
}

// passedSockets are the sockets of one address.
type passedSockets struct {
	key string
	fds []int
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
	in := &inherited{foreign: make(map[string][]int)}
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
		in.addForeign(key(network, address), fd)
	}
	return in, nil
}

func (in *inherited) addForeign(k string, fds ...int) { in.foreign[k] = append(in.foreign[k], fds...) }

// upgradeEnv lists the listening sockets that a server passes to its successor: lines of "network address=fd,fd". The list
// of descriptors ends with ",foreign" if they are those of the service manager.
const upgradeEnv = "MOONBRIDGE_LISTENERS"

const foreignMark = ",foreign"

func inheritFromServer(list string) (*inherited, error) {
	in := &inherited{foreign: make(map[string][]int)}
	for line := range strings.Lines(list) {
		k, numbers, ok := cutLast(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is malformed", upgradeEnv, line)
		}
		numbers, foreign := strings.CutSuffix(numbers, foreignMark)
		fds, err := inheritedDescriptors(numbers)
		if err != nil {
			return nil, err
		}
		if foreign {
			in.addForeign(k, fds...)
		} else {
			in.own = append(in.own, passedSockets{k, fds})
		}
	}
	return in, nil
}

func inheritedDescriptors(numbers string) (fds []int, err error) {
	for number := range strings.SplitSeq(numbers, ",") {
		fd, err := strconv.Atoi(number)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("%s: %q is not a descriptor", upgradeEnv, number)
		}
		unix.CloseOnExec(fd)
		fds = append(fds, fd)
	}
	return fds, nil
}

// cutLast is like strings.Cut, but cuts at the last separator: a path may contain others.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// takeForeign returns the sockets for a listener, or nil if there are none. The caller owns them.
func (in *inherited) takeForeign(k string) []int {
	fds := in.foreign[k]
	delete(in.foreign, k)
	return fds
}

// unused returns the keys of the manager's sockets that no listener has taken.
func (in *inherited) unused() []string { return slices.Sorted(maps.Keys(in.foreign)) }
