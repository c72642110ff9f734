package dashboard

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/alert"
	"postern/internal/fallback"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testledger"
	"postern/sessionticket"
)

// grown returns a ledger with so many handshakes, and the time at which they end.
func grown(b *testing.B, handshakes int) (path string, end time.Time) {
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	end = time.Now().UTC().Truncate(24 * time.Hour)
	path = filepath.Join(cache, "postern-bench", fmt.Sprintf("ledger-%d-%s.db", handshakes, end.Format(time.DateOnly)))
	if book, err := ledger.OpenReader(path); err == nil { // else there is none, or one of an earlier version
		book.Close()
		return path, end
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	recorded, err := os.ReadFile("../../handshake/testdata/version1.json")
	if err != nil {
		b.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(recorded)
	z.Close()
	making := path + ".making"
	if err := ledger.Create(making); err != nil {
		b.Fatal(err)
	}
	if err := testledger.Fill(making, handshakes, end, packed.Bytes()); err != nil {
		b.Fatal(err)
	}
	addRest(b, making, end)
	if err := os.Rename(making, path); err != nil {
		b.Fatal(err)
	}
	return path, end
}

// addRest adds what a large site has besides sessions, reports and refusals, for each page as much
// as it can show and more.
func addRest(b *testing.B, path string, end time.Time) {
	b.Helper()
	book := ledger.Open(path, ledger.Options{MaxAge: 365 * 24 * time.Hour, MaxSize: 1 << 40})
	network := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	}
	var decisions []fallback.Decision
	var states []fallback.State
	for i := range 2000 {
		fingerprint := fmt.Sprintf("t13d1516h2_8daaf6152771_%012x", i%50)
		at := end.Add(-time.Duration(i) * time.Hour)
		decisions = append(decisions, fallback.Decision{
			At: at, Kind: fallback.FellBack, Network: network(i), Fingerprint: fingerprint,
			From: sessionticket.OwnWrite, To: sessionticket.NoTicket, Why: "closed silently after the flight, 2 times in a row",
		})
		states = append(states, fallback.State{
			Network: network(i), Fingerprint: fingerprint, Mode: sessionticket.NoTicket, Since: at, Seen: end, Why: "closed silently after the flight",
		})
		book.AddEvent(ledger.Event{At: at, Kind: ledger.Reloaded, Text: fmt.Sprint("configuration ", i)})
	}
	book.AddDecisions(decisions)
	book.AddStates(states)
	for i := range 500 {
		a := ledger.Alert{
			ID: int64(i + 1), Kind: string(alert.SenderStopped), Subject: fmt.Sprintf("sender%d.example", i), Since: end.Add(-time.Duration(i) * time.Hour),
			Text: "sender.example used to deliver and has not for 7 attempts, from 3 networks.", Next: "Look at its handshakes.",
		}
		if a.Began, a.Seen = a.Since, a.Since.Add(time.Hour); i%5 > 0 {
			a.Ended = a.Seen
		}
		book.PutAlert(a)
	}
	for i := range 4 {
		addCheck(book, ledger.HostCheck, fmt.Sprintf("mx%d.example.org", i), end, checkedHost(fmt.Sprintf("mx%d.example.org", i)))
	}
	for i := range 1000 {
		health := jsonout.DomainHealth{Domain: fmt.Sprintf("customer%d.example", i), Time: end, Severity: "notice"}
		for _, area := range []string{"mx", "certificate", "mta-sts", "tlsa", "tlsrpt", "dnssec"} {
			health.Areas = append(health.Areas, jsonout.Area{Area: area, Severity: "notice", Title: "The domain has no record of this kind, and senders do without"})
		}
		addCheck(book, ledger.DomainCheck, health.Domain, end, health)
	}
	if err := book.Close(); err != nil {
		b.Fatal(err)
	}
}

func addCheck(book *ledger.Ledger, kind ledger.CheckKind, name string, at time.Time, result any) {
	content, err := json.Marshal(result)
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	book.AddCheck(ledger.Check{Kind: kind, Name: name, At: at, Severity: int(probe.Notice), Summary: content, Content: content})
}

// checkedHost is the result of a host with all test clients at an IPv4 and an IPv6 address.
func checkedHost(name string) jsonout.Probed {
	host := jsonout.Host{Host: name}
	for _, at := range []string{"192.0.2.1:25", "[2001:db8::1]:25"} {
		address := jsonout.Address{Address: at}
		for _, p := range persona.All() {
			run := jsonout.SenderRun{ID: p.ID, Case: p.Case, Outcome: "completed", Resumption: "resumed", JA4: "t13d1516h2_8daaf6152771_02713d6af862"}
			run.Version, run.Group = "TLS 1.3", "X25519"
			address.Senders = append(address.Senders, run)
		}
		host.Addresses = append(host.Addresses, address)
	}
	return jsonout.Probed{Target: name, Severity: "notice", Hosts: []jsonout.Host{host}}
}
