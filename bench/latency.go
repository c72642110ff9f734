package main

import (
	"fmt"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureLatency compares what a message takes through Postern with what it
// takes to the backend directly, which has no TLS.
func measureLatency(s *stage, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	check := sunk(sink)
	contenders := []contender{
		p.server("Postern", own.addr, cert.TLS.Leaf, check),
		p.server("backend directly", sink.Addr, nil, check),
	}
	r.header("at once", "a connection", "Postern", "directly", "added")
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
