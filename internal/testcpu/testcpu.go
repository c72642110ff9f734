// Package testcpu is the processor time of a benchmark. Unlike the elapsed time, it hardly depends
// on what else the machine does.
package testcpu

import (
	"syscall"
	"testing"
	"time"
)

// Used returns the processor time of this process, user and system.
func Used(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
