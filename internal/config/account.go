package config

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
)

// A serviceAccount is the user that the server runs as. Without a name it is our own.
type serviceAccount struct {
	name   string
	root   bool
	uid    int
	groups []int
}

// serviceAccountOf returns the user of the server: the owner of the data folder if root
// checks the configuration, since the server of a systemd unit has a user of its own.
func serviceAccountOf(uid int, data string) serviceAccount {
	if uid != 0 {
		return serviceAccount{uid: uid}
	}
	owner := 0
	if info, err := os.Stat(data); err == nil {
		owner, _, _ = ownerOf(info)
	}
	if owner == 0 {
		return serviceAccount{root: true}
	}
	s := serviceAccount{name: strconv.Itoa(owner), uid: owner}
	if known, err := user.LookupId(s.name); err == nil {
		s.name = known.Username
		ids, _ := known.GroupIds()
		for _, id := range ids {
			if gid, err := strconv.Atoi(id); err == nil {
				s.groups = append(s.groups, gid)
			}
		}
	}
	return s
}

// blocked returns the file or the folder above it whose mode keeps the user from
// reading the file, "" if none does. It knows nothing of access control lists. For
// our own user it returns "": reading the file has shown whether it can.
func (s serviceAccount) blocked(file string) string {
	if s.name == "" {
		return ""
	}
	file, err := filepath.EvalSymlinks(file)
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return ""
	}
	if !s.may(file, 4) {
		return file
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if !s.may(dir, 1) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// may reports whether the mode of a file has a right for the user: 4 to read a file, 1
// to pass a folder.
func (s serviceAccount) may(file string, right os.FileMode) bool {
	info, err := os.Stat(file)
	if err != nil {
		return true
	}
	uid, gid, ok := ownerOf(info)
	switch {
	case !ok:
		return true
	case uid == s.uid:
		right <<= 6
	case slices.Contains(s.groups, gid):
		right <<= 3
	}
	return info.Mode().Perm()&right != 0
}
