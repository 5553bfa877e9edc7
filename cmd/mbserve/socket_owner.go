package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"syscall"

	"moonbridge/handler/pool/listen"
)

// setOwner changes the owner and the group of the file of a Unix socket, with the rights that the server has now: with --user, those of
// the user. Root does not do it for the user, who could have put another file in the place of the socket. undo is nil if both are right
// already.
func setOwner(l *listen.Listener) (undo func(), err error) {
	uid, gid, err := ownersOf(l)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", l.Path, err)
	}
	info, err := os.Lstat(l.Path)
	if err != nil {
		return nil, err
	}
	now, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (uid < 0 || uint32(uid) == now.Uid) && (gid < 0 || uint32(gid) == now.Gid) {
		return nil, nil
	}
	if err := os.Lchown(l.Path, uid, gid); err != nil {
		return nil, err
	}
	return func() { os.Lchown(l.Path, int(now.Uid), int(now.Gid)) }, nil
}

// ownersOf looks up the user and the group that a listener names; -1: none.
func ownersOf(l *listen.Listener) (uid, gid int, err error) {
	uid, gid = -1, -1
	if l.Owner != "" {
		u, err := user.Lookup(l.Owner)
		if err != nil {
			u, err = user.LookupId(l.Owner)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("owner: there is no user %q", l.Owner)
		}
		n, err := id(u.Uid)
		if err != nil {
			return 0, 0, err
		}
		uid = int(n)
	}
	if l.Group != "" {
		g, err := user.LookupGroup(l.Group)
		if err != nil {
			g, err = user.LookupGroupId(l.Group)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("group: there is no group %q", l.Group)
		}
		n, err := id(g.Gid)
		if err != nil {
			return 0, 0, errors.New("group: " + err.Error())
		}
		gid = int(n)
	}
	return uid, gid, nil
}
