//go:build !linux

package testpeer

import "syscall"

// sessionLeader makes a process the leader of a session.
func sessionLeader() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
