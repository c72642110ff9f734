package main

import (
	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// largeSize is the size of the large message's text.
const largeSize = 50 << 20

// measureLarge passes one large message on and looks at the most memory that
// Postern had meanwhile. Small ones come first: what any message needs once
// is there then.
func measureLarge(s *stage, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	small := p.server("Postern", own.addr, cert.TLS.Leaf, sunk(sink))
	if _, err := small.measure(pattern{1, 20, false}); err != nil {
		return err
	}
	r.header("message", "before", "at most", "growth")
	var most bytes
	for range p.rounds {
		own.forgetPeak(s)
		before := own.resident(s)
		if err := (load.Load{Addr: own.addr, Certificate: cert.TLS.Leaf}).SendLarge(largeSize); err != nil {
			return err
		}
		growth := bytes(own.peak(s) - before)
		r.row(bytes(largeSize), bytes(before), bytes(before)+growth, growth)
		most = max(most, growth)
	}
	atMost(r, "growth of memory by a 50 MiB message, most of the rounds", most, 2<<20)
	return nil
}
