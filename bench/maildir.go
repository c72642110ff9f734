package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureMaildir compares Postern's Maildir with Postfix's and with the disk alone.
func measureMaildir(s *stage, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	own := startPostern(s, cert, "maildir")
	postfix := testpeer.StartPostfix(s, testpeer.PostfixOptions{Cert: cert})
	contenders := []contender{
		p.storing("Postern", own.addr, cert.TLS.Leaf, own.maildir),
		p.storing("Postfix", postfix.Addr, cert.TLS.Leaf, string(postfix.Maildir)),
		newDisk(s).contender(p),
	}
	r.header("at once", "a connection", "handshake", "Postern", "Postfix", "Postfix, answered", "disk alone", "to Postfix", "to the disk")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rate(), all[1].rate(), all[1].answered(), all[2].rate(), all[0].over(all[1]), all[0].over(all[2]))...)
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

// storing makes a contender of a server that delivers to a Maildir. Its rate
// counts until the last message is there, since Postfix acknowledges a message
// before it delivers it. All that was acknowledged must be there, whole.
func (p plan) storing(name, addr string, cert *x509.Certificate, maildir string) contender {
	dir := filepath.Join(maildir, "new")
	return contender{name, func(how pattern) (figure, error) {
		start := time.Now()
		tally, err := p.load(addr, cert, how).Run()
		if err != nil {
			return figure{}, err
		}
		if err := awaitFiles(dir, tally.Acknowledged); err != nil {
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
		}, empty(dir)
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
