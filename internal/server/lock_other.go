//go:build !unix

package server

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }
