//go:build !linux

package durable

import (
	"errors"
	"io/fs"
	"os"
)

// Other systems have no files without a name.

func canNameUnnamed(*os.File, string) bool { return false }

func createUnnamed(*os.File, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

func nameUnnamed(_, _ *os.File, _ string) error { return errors.ErrUnsupported }
