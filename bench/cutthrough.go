package main

import (
	"fmt"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureCutThrough compares Postern with nginx's mail proxy, both with the same backend, and
// with a go-smtp server that discards messages.
func measureCutThrough(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s, "-C") // without XCLIENT, which nginx does not send here either
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	nginx := testpeer.StartNginx(s, testpeer.NginxOptions{Cert: cert, Backend: sink.Addr})
	discard := startDiscard(s, cert)
	check := countedBy(sink)
	contenders := []contender{
		p.server("Postern", own.addr, cert.TLS.Leaf, check),
		p.server("nginx", nginx, cert.TLS.Leaf, check),
		p.server("go-smtp", discard.addr, cert.TLS.Leaf, unchecked),
	}
	r.header("at once", "a connection", "handshake", "Postern", "nginx", "go-smtp, no backend", "to nginx", "to go-smtp")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		r.row(how.cells(all[0].rate(), all[1].rate(), all[2].rate(), all[0].over(all[1]), all[0].over(all[2]))...)
		r.atLeast(fmt.Sprintf("cut-through to nginx, %s", how), all[0].over(all[1]), cutThroughGoal(how))
		r.atLeast(fmt.Sprintf("cut-through to go-smtp that discards, %s", how), all[0].over(all[2]), 0.7)
	}
	return nil
}

// cutThroughGoal returns the target ratio to nginx.
func cutThroughGoal(how pattern) factor {
	if how.messages == 1 {
		return 2.5
	}
	return 6
}

// startDiscard starts bench/discard.
func startDiscard(s *testpeer.Scope, cert *testcert.Pair) *process {
	addr := freeAddr(s)
	return startProcess(s, addr, build(s, "./bench/discard"), addr, cert.CertFile, cert.KeyFile)
}

// countedBy checks that the sink has counted exactly what was acknowledged.
func countedBy(sink *testpeer.SMTPSink) checkFunc {
	before := 0
	return func(tally *load.Tally) error {
		want := before + tally.Acknowledged
		err := await(func() error {
			if got := sink.Messages(); got < want {
				return fmt.Errorf("smtp-sink has %d messages, %d were acknowledged", got, want)
			}
			return nil
		})
		if err != nil {
			return err
		}
		before = want
		if got := sink.Messages(); got != want {
			return fmt.Errorf("smtp-sink has %d messages, only %d were acknowledged", got, want)
		}
		return nil
	}
}

// measureLatency compares the latency of a message through Postern with that of the backend
// alone, which has no TLS.
func measureLatency(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	check := countedBy(sink)
	contenders := []contender{
		p.server("Postern", own.addr, cert.TLS.Leaf, check),
		p.server("backend alone", sink.Addr, nil, check),
	}
	r.header("at once", "a connection", "Postern", "backend alone", "added")
	for _, how := range []pattern{{1, 1, false}, {1, 20, false}} {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		added := all[0].added(all[1])
		r.row(how.senders, how.messages, all[0].latency(), all[1].latency(), added)
		atMost(r, fmt.Sprintf("added latency of a message, median, %s", how), added, time.Millisecond)
	}
	return nil
}
