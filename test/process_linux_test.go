package test

import "syscall"

// endsWithTests ends a child when the tests die without their cleanups.
func endsWithTests() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
