package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

const (
	scrapedSenders = 10_000
	scrapes        = 200
)

// measureMetrics compares what package metrics does for a message with all that the server does
// for it. The former is measured alone: beside a message it is too little to be seen. Then it
// measures a scrape of a server that has seen many senders.
func measureMetrics(s *testpeer.Scope, p plan, r *result) error {
	counting := make(map[string]time.Duration) // a message, by the messages of a connection
	err := p.benchmarks("./internal/metrics", "Message", func(b benchmark) {
		counting[b.name] = time.Duration(b.values["cpu-ns/message"])
	}, "-benchtime=200000x")
	if err != nil {
		return err
	}
	cert := testcert.New(s, testcert.Options{})
	sink, addr := testpeer.StartSMTPSink(s), testpeer.FreeAddr(s)
	own := startPostern(s, cert, "smtp://"+sink.Addr, "--metrics", addr)
	message := p.server("Postern", own.addr, cert.TLS.Leaf, countedBy(sink))
	r.header("what", "CPU", "a message in all", "part of it")
	for _, how := range []pattern{{20, 1, false}, {20, 20, false}} {
		all, err := p.inTurns(how, message)
		if err != nil {
			return err
		}
		counted := counting[fmt.Sprint("Message/", how.messages)]
		part := percent(100 * ratio(counted, all[0].cpu()))
		r.row(fmt.Sprintf("counting a message, %v", how), counted, all[0].cpu(), part)
		atMost(r, fmt.Sprintf("counting a message, %v", how), part, 1)
	}
	book := filepath.Join(filepath.Dir(own.maildir), "ledger.db")
	if _, err := own.fail(load.ClosedAfterFlight, scrapedSenders, book); err != nil {
		return err
	}
	cpu, err := metered(own.addr, func() error {
		for range scrapes {
			if err := scrape("http://" + addr + "/metrics"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("a scrape after failures of %d senders", scrapedSenders)
	r.row(what, each(cpu, scrapes), "", "")
	atMost(r, "CPU of "+what, each(cpu, scrapes), 5*time.Millisecond)
	return nil
}

// scrape reads the metrics at a URL.
func scrape(url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
