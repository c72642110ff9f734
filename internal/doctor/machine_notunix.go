//go:build !unix

package doctor

import (
	"errors"
	"io/fs"
)

func roomAt(string) (room, error) { return room{}, errors.ErrUnsupported }

func ownerOf(fs.FileInfo, error) (uid uint32, known bool) { return 0, false }
