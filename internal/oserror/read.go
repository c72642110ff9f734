package oserror

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// maxFile is far more than a certificate with its chain, a key or a secret has.
const maxFile = 1 << 20

// ErrNotRegular is the error for a pipe or a device.
var ErrNotRegular = errors.New("not a regular file")

var errTooLarge = errors.New("larger than 1 MiB")

// ReadFile reads a small file that an operator named, such as a certificate, a key or a secret. A
// pipe and a device are errors, and so is more than 1 MiB: a server that reads such a file again
// while it runs would wait for it for ever, or read until its memory is used up.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() { // the system words the error for a folder
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errTooLarge}
	}
	return content, nil
}
