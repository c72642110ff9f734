//go:build unix

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock locks an open folder until it is closed.
func lock(folder *os.File) error {
	err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch err {
	case nil:
		return nil
	case unix.EWOULDBLOCK:
		return errLocked
	}
	return os.NewSyscallError("flock", err)
}
