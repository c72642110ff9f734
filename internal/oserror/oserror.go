// Package oserror words the errors of the operating system about files for operators: what
// is wrong with which file, and what to do about it. It reads the files that they name, up to a size.
//
//	text, remedy := oserror.Text(err), oserror.Remedy(err)
package oserror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Sentence says what is wrong with a file: "mx.pem does not exist". ok is false, and text
// empty, if err is none of the errors that it knows.
func Sentence(file string, err error) (text string, ok bool) {
	known := find(err)
	if known == nil {
		return "", false
	}
	if known.err == fs.ErrNotExist { // what is missing may be the folder for a new file
		if _, missing := os.Stat(filepath.Dir(file)); errors.Is(missing, fs.ErrNotExist) {
			return file + ": the folder " + filepath.Dir(file) + " does not exist", true
		}
	}
	return strings.ReplaceAll(known.sentence, "FILE", file), true
}

// Text is the text of err, with what the system says in it about a file replaced by a
// sentence.
func Text(err error) string {
	text := err.Error()
	file, says := about(err)
	if sentence, ok := Sentence(file, err); ok && says != "" {
		return strings.Replace(text, says, sentence, 1)
	}
	return text
}

// Remedy returns what to do about an error, "" if it is none of the system's about a file.
func Remedy(err error) string {
	file, says := about(err)
	known := find(err)
	if known == nil || says == "" {
		return ""
	}
	return strings.ReplaceAll(known.remedy, "FILE", file)
}

// about returns the file that an error is about, and what the system says.
func about(err error) (file, says string) {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Path, path.Error()
	case errors.As(err, &link):
		return link.New, link.Error()
	}
	return "", ""
}

// A fault is a kind of error.
type fault struct {
	err              error
	sentence, remedy string // about FILE
}

var faults = []fault{
	{fs.ErrNotExist, "FILE does not exist", "check the path"},
	{fs.ErrPermission, "no permission for FILE", "run this command as root or as the user that postern serve runs as, or see the modes of FILE and the folders above it with namei -l"},
	{fs.ErrExist, "FILE exists already", "remove it, or name another file"},
	{syscall.EISDIR, "FILE is a folder, not a file", "name a file"},
	{ErrNotRegular, "FILE is a pipe or device, not a file", "name a file"},
	{errTooLarge, "FILE has more than 1 MiB", "name another file"},
	{errMuchTooLarge, "FILE has more than 256 MiB", "name another file"},
	{syscall.ENOTDIR, "FILE is below a file, not a folder", "check the path"},
	{syscall.ELOOP, "FILE is a link that leads back to itself", "check the links with namei -l FILE"},
	{syscall.ENAMETOOLONG, "the name FILE is too long", "check the path"},
	{syscall.ENOSPC, "no space left on the disk of FILE", "free space or inodes there, see df and df -i"},
	{syscall.EDQUOT, "the disk quota is used up for FILE", "free space or inodes there, see quota"},
	{syscall.EROFS, "the disk of FILE is mounted read-only", "mount it for writing, or name another folder"},
	{syscall.EIO, "the disk of FILE failed", "look for errors of the disk with dmesg"},
	{syscall.EMFILE, "too many open files to open FILE", "raise the limit of open files, see ulimit -n"},
}

// find returns the kind of an error, nil if it is not known.
func find(err error) *fault {
	for i, f := range faults {
		if errors.Is(err, f.err) {
			return &faults[i]
		}
	}
	return nil
}
