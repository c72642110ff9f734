//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles returns how many descriptors the process may have. At its start, Go has raised
// the soft limit to the hard one.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt
	}
	return int(min(uint64(limit.Cur), math.MaxInt))
}
