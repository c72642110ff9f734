package config

import "io/fs"

// ownerOf returns false: what a user may read is not a matter of modes.
func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
