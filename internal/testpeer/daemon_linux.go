package testpeer

import "syscall"

// sessionLeader makes a process the leader of a session, and ends it when the
// test program dies without its cleanups (a panic, go test's timeout).
func sessionLeader() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}
