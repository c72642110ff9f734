package oserror

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

const (
	// maxFile is far more than a certificate with its chain, a key or a secret has.
	maxFile = 1 << 20

	// maxLargeFile is eight times as much as a configuration with a million recipients has.
	maxLargeFile = 256 << 20
)

// ErrNotRegular is the error for a pipe or a device.
var ErrNotRegular = errors.New("not a regular file")

var (
	errTooLarge     = errors.New("larger than 1 MiB")
	errMuchTooLarge = errors.New("larger than 256 MiB")
)

// ReadFile reads a small file that an operator named, such as a certificate, a key or a secret. A
// pipe and a device are errors, and so is more than 1 MiB: a server that reads such a file again
// while it runs would wait for it for ever, or read until its memory is used up.
func ReadFile(path string) ([]byte, error) { return read(path, maxFile, errTooLarge) }

// ReadLargeFile is ReadFile for a file that may have up to 256 MiB, such as a configuration with all
// recipients of a provider.
func ReadLargeFile(path string) ([]byte, error) { return read(path, maxLargeFile, errMuchTooLarge) }

func read(path string, most int64, tooLarge error) ([]byte, error) {
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
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: tooLarge}
	}
	return content, nil
}
