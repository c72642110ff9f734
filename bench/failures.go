package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"postern/bench/load"
	"postern/internal/ledger"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureFailures measures what a stranger's ClientHello costs: the server's CPU time with
// diagnosis, log and ledger, and what the ledger keeps of it.
func measureFailures(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	own, least := startPostern(s, cert, "maildir"), startFloor(s, cert)
	book := filepath.Join(filepath.Dir(own.maildir), "ledger.db")
	r.header("the client", "a second", "CPU a failed handshake", "floor", "to floor", "in the ledger")
	for _, how := range []load.Failure{load.RandomSuites, load.ClosedAfterFlight} {
		var ours, theirs []failed
		before := sizeOf(book)
		for range p.rounds {
			one, err := own.fail(how, p.handshakes, book)
			if err != nil {
				return err
			}
			ours = append(ours, one)
			if one, err = least.fail(how, p.handshakes, ""); err != nil {
				return err
			}
			theirs = append(theirs, one)
		}
		stored := (sizeOf(book) - before) / bytes(p.rounds*p.handshakes)
		over := factor(median(ours, func(i int) float64 { return ratio(ours[i].cpu, theirs[i].cpu) }))
		r.row(how, perSecond(median(ours, func(i int) float64 { return float64(time.Second) / float64(ours[i].took) })),
			medianTime(ours, func(i int) time.Duration { return ours[i].cpu }),
			medianTime(theirs, func(i int) time.Duration { return theirs[i].cpu }), over, stored)
		atMost(r, fmt.Sprintf("server CPU of a failed handshake to the floor, %v", how), over, 2.5)
		atMost(r, fmt.Sprintf("room in the ledger of a failed handshake, %v", how), stored, 3<<10)
	}
	return nil
}

// failed is what one failed handshake takes, on average of many.
type failed struct{ cpu, took time.Duration }

// fail makes count handshakes fail, and returns when all are in the ledger at book, if the server
// has one.
func (p *process) fail(how load.Failure, count int, book string) (failed, error) {
	had, err := failuresIn(book)
	if err != nil {
		return failed{}, err
	}
	began := time.Now()
	cpu, err := metered(p.addr, func() error {
		if err := how.Fail(p.addr, count); err != nil {
			return err
		}
		return await(func() error {
			has, err := failuresIn(book)
			if err == nil && book != "" && has < had+int64(count) {
				err = fmt.Errorf("%d of %d failed handshakes are in the ledger", has-had, count)
			}
			return err
		})
	})
	return failed{each(cpu, count), each(time.Since(began), count)}, err
}

// failuresIn returns how many failed handshakes a ledger has counted.
func failuresIn(book string) (n int64, err error) {
	if book == "" {
		return 0, nil
	}
	r, err := ledger.OpenReader(book)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	days, err := r.Days(context.Background(), ledger.Filter{})
	for _, day := range days {
		n += day.Failed
	}
	return n, err
}

// sizeOf returns the size of a database with its journal.
func sizeOf(path string) (n bytes) {
	for _, name := range []string{path, path + "-wal"} {
		if file, err := os.Stat(name); err == nil {
			n += bytes(file.Size())
		}
	}
	return n
}
