package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureMaildir compares Postern's Maildir with Postfix's and with the disk alone.
func measureMaildir(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	own := startPostern(s, cert, "maildir")
	postfix := testpeer.StartPostfix(s, testpeer.PostfixOptions{Cert: cert})
	contenders := []contender{
		p.maildirServer("Postern", own.addr, cert.TLS.Leaf, own.maildir),
		p.maildirServer("Postfix", postfix.Addr, cert.TLS.Leaf, string(postfix.Maildir)),
		newDisk(s).contender(p),
	}
	r.header("at once", "a connection", "handshake", "Postern", "Postfix", "Postfix, replies", "disk alone", "to Postfix", "to the disk")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rateAndCPU(), all[1].rateAndCPU(), all[1].answered(), all[2].rate(), all[0].over(all[1]), all[0].over(all[2]))...)
		r.atLeast(fmt.Sprintf("Maildir to Postfix, %s", how), all[0].over(all[1]), maildirGoal(how))
		if how.senders == 20 && how.messages == 20 {
			r.atLeast(fmt.Sprintf("Maildir to the disk alone, %s", how), all[0].over(all[2]), 0.7)
		}
	}
	return nil
}

// maildirGoal returns the target ratio to Postfix.
func maildirGoal(how pattern) factor {
	switch {
	case how.senders == 1:
		return 1
	case how.messages == 1:
		return 2.5
	}
	return 4
}

// maildirServer returns the contender for a server that delivers to a Maildir. Its rate counts until
// the last message is there, since Postfix acknowledges a message before it delivers it. Every
// acknowledged message must be there, complete.
func (p plan) maildirServer(name, addr string, cert *x509.Certificate, maildir string) contender {
	dir := filepath.Join(maildir, "new")
	return contender{name, func(how pattern) (figure, error) {
		var tally *load.Tally
		start := time.Now()
		cpu, err := metered(addr, func() (err error) {
			if tally, err = p.load(addr, cert, how).Run(); err != nil {
				return err
			}
			return awaitFiles(dir, tally.Acknowledged)
		})
		if err != nil {
			return figure{}, err
		}
		took := time.Since(start)
		if err := tally.CheckMaildir(dir); err != nil {
			return figure{}, err
		}
		return figure{
			rate:     float64(tally.Acknowledged) / took.Seconds(),
			answered: tally.Rate(),
			latency:  tally.Latency(),
			cpu:      each(cpu, tally.Acknowledged),
		}, emptyFolder(dir)
	}}
}

// awaitFiles waits until a folder has at least count files.
func awaitFiles(dir string, count int) error {
	return await(func() error {
		folder, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer folder.Close()
		names, err := folder.Readdirnames(-1)
		if err == nil && len(names) < count {
			err = fmt.Errorf("%d messages in %s, %d were acknowledged", len(names), dir, count)
		}
		return err
	})
}

// A disk measures the disk alone: create a file without a name, write a message's size, sync,
// link, sync the folder.
type disk struct {
	dir     string
	folder  *os.File
	files   atomic.Int64
	content []byte
}

func newDisk(s *testpeer.Scope) *disk {
	d := &disk{dir: s.TempDir(), content: make([]byte, load.Size)}
	folder, err := os.Open(d.dir)
	if err != nil {
		s.Fatalf("%v", err)
	}
	s.Cleanup(func() { folder.Close() })
	d.folder = folder
	return d
}

// write writes one file durably.
func (d *disk) write() error {
	folder := int(d.folder.Fd())
	fd, err := unix.Openat(folder, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, d.content); err != nil {
		return err
	}
	if err := unix.Fsync(fd); err != nil {
		return err
	}
	name := strconv.FormatInt(d.files.Add(1), 10)
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), folder, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return err
	}
	return d.folder.Sync()
}

// contender returns the contender with as many writers as a pattern has senders.
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
		return figure{rate: float64(counted.Load()) / p.time.Seconds()}, emptyFolder(d.dir)
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

// emptyFolder removes the files in dir and syncs it, so that this does not slow down the next
// measurement.
func emptyFolder(dir string) error {
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
