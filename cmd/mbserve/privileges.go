package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// privileges are the user and groups of the server after its listeners are open, and of the script and its workers from
// the start.
type privileges struct {
	cred *syscall.Credential
	env  []string // what the environment of the script says about the user; empty if only the group changes
	root bool     // they must be taken on; otherwise this process takes over from one that has done that
}

// lookupPrivileges finds user and group by name or number. It returns nil if neither is given. Without a group, the
// user's own groups are used.
func lookupPrivileges(userName, groupName string) (*privileges, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	p := &privileges{cred: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}, root: os.Getuid() == 0}
	if userName != "" {
		if err := p.setUser(userName); err != nil {
			return nil, err
		}
	}
	if groupName != "" {
		if err := p.setGroup(groupName); err != nil {
			return nil, err
		}
	}
	if !p.root && (uint32(os.Getuid()) != p.cred.Uid || uint32(os.Getgid()) != p.cred.Gid) {
		return nil, errors.New("--user and --group require a server that is started as root")
	}
	return p, nil
}

func (p *privileges) setUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("--user: there is no user %q", name)
		}
	}
	if p.cred.Uid, err = id(u.Uid); err != nil {
		return err
	}
	if p.cred.Gid, err = id(u.Gid); err != nil {
		return err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("--user: groups of %q: %w", name, err)
	}
	for _, g := range groups {
		n, err := id(g)
		if err != nil {
			return err
		}
		p.cred.Groups = append(p.cred.Groups, n)
	}
	p.env = []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username, "SHELL=" + shellOf(u.Username)}
	return nil
}

func (p *privileges) setGroup(name string) error {
	g, err := user.LookupGroup(name)
	if err != nil {
		if g, err = user.LookupGroupId(name); err != nil {
			return fmt.Errorf("--group: there is no group %q", name)
		}
	}
	p.cred.Groups = nil
	p.cred.Gid, err = id(g.Gid)
	return err
}

// shellOf returns a user's shell. Package user does not know it. Users who are not in the file have the usual one.
func shellOf(name string) string {
	text, err := os.ReadFile("/etc/passwd")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) == 7 && f[0] == name && f[6] != "" {
				return f[6]
			}
		}
	}
	return "/bin/sh"
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
	if p == nil || !p.root {
		return nil
	}
	return p.cred
}

// environment returns the variables that child processes get.
func (p *privileges) environment() []string {
	if p == nil {
		return nil
	}
	return p.env
}

func groupsOf(cred *syscall.Credential) []int {
	groups := make([]int, len(cred.Groups))
	for i, g := range cred.Groups {
		groups[i] = int(g)
	}
	return groups
}

// drop gives up root privileges permanently, in all threads.
func (p *privileges) drop() error {
	if p.credential() == nil {
		return nil
	}
	if err := syscall.Setgroups(groupsOf(p.cred)); err != nil {
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
