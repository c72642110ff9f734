//go:build !linux

package test

import "syscall"

func endsWithTests() *syscall.SysProcAttr { return nil }
