//go:build unix

package ledger

import (
	"os"
	"syscall"
)

// chownLike gives the file to the owner of the folder. Only root can, and need not if root
// owns the folder.
func chownLike(file, folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	return os.Lchown(file, int(owner.Uid), int(owner.Gid))
}
