package main

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// asUser calls fn with what another user may do to files. What it opens and creates belongs to that user. It takes root.
//
// Linux keeps the ids of each thread separately, and these calls, unlike those of package syscall, change only the calling
// one.
func asUser(user *syscall.Credential, fn func() error) error {
	runtime.LockOSThread()
	was, err := unix.Getgroups()
	if err == nil {
		err = becomeUser(int(user.Uid), int(user.Gid), groupsOf(user))
	}
	if err == nil {
		err = fn()
	}
	if back := becomeUser(0, unix.Getegid(), was); back != nil {
		return fmt.Errorf("become root again: %w", back) // nothing else uses the thread: it stays locked
	}
	runtime.UnlockOSThread()
	return err
}

// becomeUser changes the ids that the calling thread uses for files. Without root's, it also loses root's capabilities for
// files.
func becomeUser(uid, gid int, groups []int) error {
	if uid == 0 {
		unix.SetfsuidRetUid(uid) // first: the rest takes root
	}
	err := unix.Setgroups(groups)
	unix.SetfsgidRetGid(gid)
	unix.SetfsuidRetUid(uid)
	// These calls return the id before, not an error. An id that does not exist changes nothing.
	isUID, _ := unix.SetfsuidRetUid(-1)
	isGID, _ := unix.SetfsgidRetGid(-1)
	if err == nil && (isUID != uid || isGID != gid) {
		err = unix.EPERM
	}
	return err
}
