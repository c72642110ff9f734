package main

import (
	"fmt"
	"os/exec"
	"path/filepath"

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
		p.server("Postern", now.addr, cert.TLS.Leaf, check),
		p.server("before", before.addr, cert.TLS.Leaf, check),
	}
	r.header("at once", "a connection", "handshake", "Postern", "at "+p.before, "rate to that", "CPU to that")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rateAndCPU(), all[1].rateAndCPU(), all[0].over(all[1]), all[0].cpuOver(all[1]))...)
		r.atLeast(fmt.Sprintf("Postern to itself at %s, %s", p.before, how), all[0].over(all[1]), 0.95)
	}
	return nil
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
