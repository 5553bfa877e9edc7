// Package cgroup gives a server a control group of its own with the cpu controller, as systemd and containers do. Linux
// then divides CPU time among the groups first, and a yield stays within the group.
//
// A Group is an empty control group until a command that Wrap returns is started. The caller must call Remove when all
// processes have ended. Version 1 of the controllers and version 2 are supported. Both need the right to create groups at
// the top of the hierarchy, which usually only root has.
package cgroup
