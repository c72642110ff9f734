package main

import (
	"fmt"
	"os"
	"path/filepath"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureMaildir compares Postern's Maildir with Postfix's and with the disk alone.
func measureMaildir(s *stage, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	own := startPostern(s, cert, "maildir")
	postfix := testpeer.StartPostfix(s, testpeer.PostfixOptions{Cert: cert})
	contenders := []contender{
		p.server("Postern", own.addr, cert.TLS.Leaf, box(filepath.Join(own.maildir, "new"))),
		p.server("Postfix", postfix.Addr, cert.TLS.Leaf, box(filepath.Join(string(postfix.Maildir), "new"))),
		newDisk(s).contender(p),
	}
	r.header("at once", "a connection", "handshake", "Postern", "Postfix", "disk alone", "to Postfix", "to the disk")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rate(), all[1].rate(), all[2].rate(), all[0].over(all[1]), all[0].over(all[2]))...)
		r.atLeast(fmt.Sprintf("Maildir to Postfix, %s", how), all[0].over(all[1]), maildirGoal(how))
		if how.senders == 20 && how.messages == 20 {
			r.atLeast(fmt.Sprintf("Maildir to the disk alone, %s", how), all[0].over(all[2]), 0.6)
		}
	}
	return nil
}

// maildirGoal is the ratio to Postfix that is wanted.
func maildirGoal(how pattern) factor {
	switch {
	case how.senders == 1:
		return 1
	case how.messages == 1:
		return 2.5
	}
	return 4
}

// box checks that all messages of a load have come to the folder new of a
// Maildir, and empties it. Postfix acknowledges before it delivers.
func box(dir string) checkFunc {
	return func(tally *load.Tally) error {
		err := await(func() error {
			files, err := os.ReadDir(dir)
			if err == nil && len(files) < tally.Acknowledged {
				err = fmt.Errorf("%d messages in %s, %d were acknowledged", len(files), dir, tally.Acknowledged)
			}
			return err
		})
		if err == nil {
			err = tally.CheckMaildir(dir)
		}
		if err != nil {
			return err
		}
		return empty(dir)
	}
}
