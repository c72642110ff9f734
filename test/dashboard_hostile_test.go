package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/dnsrecords"
	"postern/internal/fallback"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/sessionticket"
)

// hostileNames are what strangers may send where a page shows a name.
var hostileNames = []string{
	`<script>alert("script")</script>`,
	`"><img src="https://evil.test/x.png" onerror="alert('img')">`,
	`' onmouseover='alert(1)' autofocus onfocus='alert("focus")`,
	`</title></svg></textarea></style><script src="//evil.test/x.js"></script>`,
	`javascript:alert("link")`,
	`{{.}} ${alert("template")} <svg onload=alert("svg")>`,
	"mx\u202etxet.example\u0000\u001b[2J",
	strings.Repeat("averylongname", 30),
	strings.TrimSpace(strings.Repeat("many words ", 200)),
}

// Nothing that a stranger writes runs in the browser of the operator, asks another host, or
// breaks a page: tried with text in every field of the ledger.
func TestHostileTextIsOnlyText(t *testing.T) {
	axe := readAxe(t)
	browser := startBrowser(t)
	data := t.TempDir()
	writeHostileLedger(t, filepath.Join(data, "ledger.db"))
	p := startDashboard(t, data)
	inspect(t, browser, p, axe)

	b := openTab(t, browser)
	b.visit(p.loginLink())
	b.visit(strings.TrimSuffix(eval[string](b, "location.origin"), "/") + "/handshakes")
	if !strings.Contains(b.text(), hostileNames[0]) {
		t.Errorf("the page does not show %s", hostileNames[0])
	}
}

// writeHostileLedger makes a ledger in which all names are hostile.
func writeHostileLedger(t *testing.T, path string) {
	t.Helper()
	if err := ledger.Create(path); err != nil {
		t.Fatal(err)
	}
	book := ledger.Open(path, ledger.Options{})
	now := time.Now()
	for i, name := range hostileNames {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		network := netip.PrefixFrom(address, 24).Masked()
		at := now.Add(-time.Duration(i) * time.Hour)
		failed := ledger.Handshake{
			Session: fmt.Sprintf("HOSTILE%03d", i), At: at, Address: address, Network: network, EHLO: name,
			Fingerprint: name, Outcome: ledger.Failed, Mode: sessionticket.Stock, Version: tls.VersionTLS13,
			Stopped: name, Next: name,
			Diagnoses: []ledger.Diagnosis{{Case: name, Confidence: 0.5, Evidence: []string{name}}, {Case: "early-ticket", Confidence: 0.9, Evidence: []string{name}}},
		}
		plain := failed
		plain.Session, plain.At, plain.Fingerprint, plain.Outcome = fmt.Sprintf("PLAINTX%03d", i), at.Add(time.Minute), "", ledger.Plaintext
		plain.Stopped, plain.Next, plain.Diagnoses = "", "", nil
		book.AddHandshake(failed)
		book.AddHandshake(plain)
		book.AddRefusal(ledger.Refusal{
			Last: at, Network: network, EHLO: name, Command: "RCPT", From: name, To: name, Reply: "550 5.1.1 " + name, Remote: true, Count: 3,
			Session: failed.Session,
		})
		book.AddDecisions([]fallback.Decision{{
			At: at, Kind: fallback.FellBack, Network: network, Fingerprint: name, From: sessionticket.Stock, To: sessionticket.OwnWrite, Why: name,
		}})
		book.AddEvent(ledger.Event{At: at, Kind: ledger.CertificateChanged, Subject: name, Text: name})
		book.PutAlert(ledger.Alert{ID: int64(i + 1), Kind: "sender-stopped", Subject: name, Text: name, Next: name, Since: at, Began: at, Seen: at, Ended: at})
		book.AddCheck(hostileHost(name, at))
		book.AddCheck(hostileDomain(fmt.Sprintf("d%d.example", i), name, at))
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		content := strings.ReplaceAll(october.JSON(), "validation-failure", string(quoted[1:len(quoted)-1]))
		if _, err := book.AddReport(t.Context(), ledger.Report{
			At: at, Via: ledger.ByMail, Session: failed.Session, Address: address, Signer: name, Verdict: name, Submitter: name, Organization: name,
			ReportID: name, Start: at.Add(-24 * time.Hour), End: at, Domains: []string{name}, Failed: 27, Warnings: []string{name}, Content: []byte(content),
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	if n := book.Stats().Dropped; n > 0 {
		t.Fatalf("%d events were not stored", n)
	}
	if err := ledger.SetPin(t.Context(), path, fallback.Pin{
		Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.NoTicket, Why: hostileNames[0], Since: now,
	}); err != nil {
		t.Fatal(err)
	}
}

// hostileHost is the check of an MX host whose name, certificate and replies are hostile.
func hostileHost(name string, at time.Time) ledger.Check {
	finding := jsonout.Finding{ID: "wrong-name", Severity: "critical", Title: "The certificate is for " + name, Evidence: []string{name}}
	run := jsonout.SenderRun{ID: "healthy-go", Does: name, Outcome: "failed", Why: name}
	return hostileCheck(ledger.HostCheck, name, at, jsonout.Probed{
		Target: name, Error: name, Severity: "critical", Findings: []jsonout.Finding{finding},
		Hosts: []jsonout.Host{{Host: name, Addresses: []jsonout.Address{{
			Address: "192.0.2.1:25", Software: name, Findings: []jsonout.Finding{finding}, Senders: []jsonout.SenderRun{run},
		}}}},
	})
}

// hostileDomain is the check of a domain, which is the operator's, with hostile records.
func hostileDomain(domain, name string, at time.Time) ledger.Check {
	return hostileCheck(ledger.DomainCheck, domain, at, jsonout.DomainHealth{
		Domain: domain, Time: at, Severity: "critical",
		Areas: []jsonout.Area{{Area: "certificate", Severity: "critical", Title: name}, {Area: name, Severity: name, Title: name}},
		Probe: &jsonout.Probed{Findings: []jsonout.Finding{{ID: name, Severity: "critical", Title: name, Evidence: []string{name}}}},
		DNS: &jsonout.Zone{Domain: domain, Host: name, State: dnsrecords.Differs, Records: []dnsrecords.Result{{
			Record: dnsrecords.Record{Name: name, Type: "TXT", Data: name, Note: name}, State: dnsrecords.Differs, Why: name,
		}}},
	})
}

func hostileCheck(kind ledger.CheckKind, name string, at time.Time, result any) ledger.Check {
	content, err := json.Marshal(result)
	if err != nil {
		panic(err) // texts can be encoded
	}
	return ledger.Check{Kind: kind, Name: name, At: at, Severity: int(probe.Critical), Summary: content, Content: content}
}
