package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureBefore compares Postern with what it was at an earlier revision, both
// before the same backend, so that no disk comes between.
func measureBefore(s *stage, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s, "-C")
	check := sunk(sink)
	now := startPostern(s, cert, "smtp://"+sink.Addr)
	before := startProgram(s, buildRevision(s, p.before), cert, "smtp://"+sink.Addr)
	contenders := []contender{
		p.costing(s, "Postern", now, cert, check),
		p.costing(s, "before", before, cert, check),
	}
	r.header("at once", "a connection", "handshake", "Postern", "at "+p.before, "to that", "CPU", "at "+p.before, "to that")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rate(), all[1].rate(), all[0].over(all[1]), all[0].cpu(), all[1].cpu(), all[0].cpuOver(all[1]))...)
		r.atLeast(fmt.Sprintf("Postern to itself at %s, %s", p.before, how), all[0].over(all[1]), 0.95)
	}
	return nil
}

// costing makes a contender of a Postern whose CPU time is measured too: what else
// the machine does changes that less than the rate.
func (p plan) costing(s *stage, name string, server postern, cert *testcert.Pair, check checkFunc) contender {
	return contender{name, func(how pattern) (figure, error) {
		began := server.cpu(s)
		tally, err := p.load(server.addr, cert.TLS.Leaf, how).Run()
		if err == nil {
			err = check(tally)
		}
		used := server.cpu(s) - began
		return figure{rate: tally.Rate(), latency: tally.Latency(), cpu: used / time.Duration(max(1, tally.Acknowledged))}, err
	}}
}

// buildRevision builds the program as it was at a revision of this repository.
func buildRevision(s *stage, revision string) string {
	dir := s.TempDir()
	for _, step := range [][]string{
		{"sh", "-c", `git archive "$0" | tar -x -C "$1"`, revision, dir},
		{"go", "build", "-C", dir, "-o", "postern-before", "./cmd/postern"},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			s.Fatalf("building Postern as of %s: %v\n%s", revision, err, out)
		}
	}
	return filepath.Join(dir, "postern-before")
}
