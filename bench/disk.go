package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/bench/load"
)

// disk is what the disk alone can do: create a file, write a message's size,
// sync, rename, sync the folder, each for itself.
type disk struct {
	tmp, dir string
	folder   *os.File
	files    atomic.Int64
	content  []byte
}

func newDisk(s *stage) *disk {
	d := &disk{tmp: s.TempDir(), dir: s.TempDir(), content: make([]byte, load.Size)}
	folder, err := os.Open(d.dir)
	if err != nil {
		s.Fatalf("%v", err)
	}
	s.Cleanup(func() { folder.Close() })
	d.folder = folder
	return d
}

// write makes one file safe.
func (d *disk) write() error {
	name := fmt.Sprint(d.files.Add(1))
	f, err := os.OpenFile(filepath.Join(d.tmp, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(d.content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(d.dir, name)); err != nil {
		return err
	}
	return d.folder.Sync()
}

// contender writes with as many writers as a pattern has senders.
func (d *disk) contender(p plan) contender {
	return contender{"the disk alone", func(how pattern) (figure, error) {
		start := time.Now()
		from, until := start.Add(p.warm), start.Add(p.warm+p.time)
		var counted atomic.Int64
		errs := make(chan error, how.senders)
		var writers sync.WaitGroup
		for range how.senders {
			writers.Go(func() { errs <- d.writeUntil(from, until, &counted) })
		}
		writers.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return figure{}, err
			}
		}
		return figure{rate: float64(counted.Load()) / p.time.Seconds()}, empty(d.dir)
	}}
}

func (d *disk) writeUntil(from, until time.Time, counted *atomic.Int64) error {
	for {
		if err := d.write(); err != nil {
			return err
		}
		now := time.Now()
		if now.After(until) {
			return nil
		}
		if now.After(from) {
			counted.Add(1)
		}
	}
}

// empty removes the files in dir and has that written to disk, so that it is
// no burden on the next measurement.
func empty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(filepath.Join(dir, file.Name())); err != nil {
			return err
		}
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
