package main

import (
	"fmt"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureCutThrough compares Postern with nginx's mail proxy and with the floor, all with the
// same backend, and with a go-smtp server that discards messages.
func measureCutThrough(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s, "-C") // without XCLIENT, which nginx does not send here either
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	nginx := testpeer.StartNginx(s, testpeer.NginxOptions{Cert: cert, Backend: sink.Addr})
	least := startFloor(s, cert, sink.Addr)
	discard := startDiscard(s, cert)
	check := countedBy(sink)
	contenders := []contender{
		p.server("Postern", own.addr, cert.TLS.Leaf, check),
		p.server("nginx", nginx, cert.TLS.Leaf, check),
		p.server("floor", least.addr, cert.TLS.Leaf, check),
		p.server("go-smtp", discard.addr, cert.TLS.Leaf, unchecked),
	}
	r.header("at once", "a connection", "handshake", "Postern", "nginx", "floor", "go-smtp, no backend", "rate to nginx", "CPU to floor")
	for _, how := range patterns {
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		toFloor := all[0].cpuOver(all[2])
		r.row(how.cells(all[0].rateAndCPU(), all[1].rateAndCPU(), all[2].rateAndCPU(), all[3].rateAndCPU(), all[0].over(all[1]), toFloor)...)
		r.atLeast(fmt.Sprintf("cut-through to nginx, %s", how), all[0].over(all[1]), cutThroughGoal(how))
		if how.senders == 20 {
			atMost(r, fmt.Sprintf("server CPU of cut-through to the floor, %s", how), toFloor, cutThroughFloor(how))
		}
	}
	return nil
}

// cutThroughFloor returns the target for the CPU time of a message, relative to the floor's.
func cutThroughFloor(how pattern) factor {
	if how.messages == 1 {
		return 1.2
	}
	return 1.3
}

// cutThroughGoal returns the target ratio to nginx.
func cutThroughGoal(how pattern) factor {
	if how.messages == 1 {
		return 2.5
	}
	return 6
}

// startFloor starts bench/floor. Without a backend it discards messages.
func startFloor(s *testpeer.Scope, cert *testcert.Pair, backend ...string) *process {
	addr := testpeer.FreeAddr(s)
	return startProcess(s, addr, build(s, "./bench/floor"), append([]string{addr, cert.CertFile, cert.KeyFile}, backend...)...)
}

// startDiscard starts bench/discard.
func startDiscard(s *testpeer.Scope, cert *testcert.Pair) *process {
	addr := testpeer.FreeAddr(s)
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
