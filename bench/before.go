package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureBefore compares Postern with an earlier revision, both with the same backend, so that
// the disk does not matter.
func measureBefore(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s, "-C")
	check := countedBy(sink)
	now := startPostern(s, cert, "smtp://"+sink.Addr)
	before := startProgram(s, buildRevision(s, p.before), cert, "smtp://"+sink.Addr)
	contenders := []contender{
		p.serverWithCPU(s, "Postern", now, cert, check),
		p.serverWithCPU(s, "before", before, cert, check),
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

// serverWithCPU returns the contender for a Postern whose CPU time is measured too, which other work
// on the machine affects less than the rate.
func (p plan) serverWithCPU(s *testpeer.Scope, name string, server postern, cert *testcert.Pair, check checkFunc) contender {
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

// buildRevision builds Postern at a revision of this repository.
func buildRevision(s *testpeer.Scope, revision string) string {
	dir := s.TempDir()
	for _, step := range [][]string{
		{"sh", "-c", `git archive "$0" | tar -x -C "$1"`, revision, dir},
		{"go", "build", "-C", dir, "-o", "postern-before", "./cmd/postern"},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			s.Fatalf("building Postern at %s: %v\n%s", revision, err, out)
		}
	}
	return filepath.Join(dir, "postern-before")
}
