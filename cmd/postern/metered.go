package main

import (
	"fmt"
	"os"
)

// A metered is a file that tells how much of it has been read.
type metered struct {
	file       *os.File
	told       *progress
	read, size int64 // in bytes; size is 0 of what has no end yet
}

func newMetered(file *os.File, told *progress) *metered {
	m := &metered{file: file, told: told}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		m.size = info.Size()
	}
	return m
}

// Read is for [io.Reader].
func (m *metered) Read(p []byte) (int, error) {
	n, err := m.file.Read(p)
	m.read += int64(n)
	of := ""
	if m.size > 0 {
		of = fmt.Sprintf(" of %d", m.size>>20)
	}
	m.told.Say(fmt.Sprintf("postern: %d%s MiB are read, %s", m.read>>20, of, m.file.Name()))
	return n, err
}
