package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// privileges are the user and groups of the server after its listeners are open, and of the script and its workers from
// the start.
type privileges struct{ cred *syscall.Credential }

// lookupPrivileges finds user and group by name or number. It returns nil if neither is given. Without a group, the
// user's own groups are used.
func lookupPrivileges(userName, groupName string) (*privileges, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	cred := &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	if userName != "" {
		u, err := user.Lookup(userName)
		if err != nil {
			if u, err = user.LookupId(userName); err != nil {
				return nil, fmt.Errorf("--user: there is no user %q", userName)
			}
		}
		if cred.Uid, err = id(u.Uid); err != nil {
			return nil, err
		}
		if cred.Gid, err = id(u.Gid); err != nil {
			return nil, err
		}
		groups, err := u.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("--user: groups of %q: %w", userName, err)
		}
		for _, g := range groups {
			n, err := id(g)
			if err != nil {
				return nil, err
			}
			cred.Groups = append(cred.Groups, n)
		}
	}
	if groupName != "" {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			if g, err = user.LookupGroupId(groupName); err != nil {
				return nil, fmt.Errorf("--group: there is no group %q", groupName)
			}
		}
		if cred.Gid, err = id(g.Gid); err != nil {
			return nil, err
		}
		cred.Groups = nil
	}
	switch {
	case os.Getuid() == 0:
		return &privileges{cred}, nil
	case uint32(os.Getuid()) == cred.Uid && uint32(os.Getgid()) == cred.Gid:
		return nil, nil // nothing to do: this process takes over from one that has dropped root privileges
	}
	return nil, errors.New("--user and --group require a server that is started as root")
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user database: %q is not a number", s)
	}
	return uint32(n), nil
}

// credential returns the credential for child processes, or nil for our own.
func (p *privileges) credential() *syscall.Credential {
	if p == nil {
		return nil
	}
	return p.cred
}

// drop gives up root privileges permanently, in all threads.
func (p *privileges) drop() error {
	if p == nil {
		return nil
	}
	groups := make([]int, len(p.cred.Groups))
	for i, g := range p.cred.Groups {
		groups[i] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("drop root privileges: setgroups: %w", err)
	}
	if err := syscall.Setgid(int(p.cred.Gid)); err != nil {
		return fmt.Errorf("drop root privileges: setgid: %w", err)
	}
	if err := syscall.Setuid(int(p.cred.Uid)); err != nil {
		return fmt.Errorf("drop root privileges: setuid: %w", err)
	}
	if p.cred.Uid != 0 && syscall.Setuid(0) == nil {
		return errors.New("drop root privileges: they can be regained")
	}
	return nil
}
