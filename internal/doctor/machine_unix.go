//go:build unix

package doctor

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// roomAt returns what users other than root have free on the disk of a folder.
func roomAt(folder string) (room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return room{}, err
	}
	block := uint64(s.Bsize)
	return room{uint64(s.Bavail) * block, uint64(s.Blocks) * block, uint64(s.Ffree), uint64(s.Files)}, nil
}

// ownerOf returns the user of a file.
func ownerOf(info fs.FileInfo, err error) (uid uint32, known bool) {
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return stat.Uid, true
}
