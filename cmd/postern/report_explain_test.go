package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"postern/internal/terminal"
	"postern/tlsrpt"
)

// dayReport is a report about a day under one policy.
func dayReport(org string, day time.Time, policy tlsrpt.PolicyType, successful int64, failures ...tlsrpt.Failure) *tlsrpt.Report {
	result := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{Type: policy, Domain: ourDomain}, Successful: successful, Failures: failures}
	for _, f := range failures {
		result.Failed += f.Sessions
	}
	return &tlsrpt.Report{
		Organization: org, Contact: "tls-reports@sender.example", ID: day.Format("20060102") + "+" + ourDomain,
		Start: day, End: day.Add(24*time.Hour - time.Second), Policies: []tlsrpt.PolicyResult{result},
	}
}

var (
	friday   = time.Date(2024, 10, 18, 0, 0, 0, 0, time.UTC)
	thursday = time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC)
)

// October 2024, golang/go#70232: for a day strict clients fail at a server that sends its
// tickets early. Then comes the report, which blames the policy.
func TestExplainReportOfOctober2024(t *testing.T) {
	t.Parallel()
	r := mustStartReceiver(t, "--mode", "stock")
	hosts := make(map[string]string)
	for i := range 3 { // each in a network of its own: the fallback changes the mode of a sender that retries
		addr, name := fmt.Sprintf("127.0.%d.1", i+1), fmt.Sprintf("mail-am%d.outbound.protection.outlook.com", i+1)
		hosts[addr] = name
		r.connect(addr, r.strictClient(name))
	}
	r.connect("127.0.9.1", r.strictClient("mail-xy.outbound.protection.outlook.com")) // another sender
	hosts["127.0.9.1"] = "scanner.example.net"
	r.backdate(thursday.Add(7 * time.Hour))
	old := *r
	again := mustStartReceiver(t, "--mode", "stock") // as it goes on
	old.addr, old.pair = again.addr, again.pair

	var reports []*tlsrpt.Report
	for day := friday; day.Before(thursday); day = day.AddDate(0, 0, 1) {
		reports = append(reports, dayReport("Microsoft Corporation", day, tlsrpt.PolicySTS, 40+int64(day.Day())))
	}
	id := r.addReports("microsoft.com", append(reports,
		dayReport("Microsoft Corporation", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 3}))...)
	// What an unverified report says is not history for a verified one, and what was seen here
	// is shown for it too, marked.
	failure := tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 5}
	forged := old.addUnverified("microsoft.com", dayReport("Microsoft Corporation", friday, tlsrpt.PolicySTS, 0, failure),
		dayReport("Microsoft Corporation", thursday, tlsrpt.PolicySTS, 0, failure))
	if status := old.explain("october_2024_unverified", forged, old.network(senderZones(hosts)...)); status != terminal.ExitFailed {
		t.Errorf("exit status %d for the unverified report, want %d", status, terminal.ExitFailed)
	}
	if status := old.explain("october_2024", id, old.network(senderZones(hosts)...)); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The certificate expires while the server runs. A sender that enforces the policy fails.
func TestExplainReportOfExpiredCertificate(t *testing.T) {
	t.Parallel()
	r := startReceiverWithExpiredCertificate(t)
	r.connect("127.0.1.1", r.verifyCertificate("mx1.sender.example"))
	r.connect("127.0.1.1", r.verifyCertificate("mx1.sender.example"))
	r.backdate(thursday.Add(7 * time.Hour))
	id := r.addReports("sender.example", dayReport("Sender", thursday.AddDate(0, 0, -1), tlsrpt.PolicySTS, 12),
		dayReport("Sender", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{
			Result: tlsrpt.CertificateExpired, SendingMTA: netip.MustParseAddr("127.0.1.1"), ReceivingMX: ourHost, Sessions: 2,
		}))
	again := startReceiverWithExpiredCertificate(t)
	r.addr, r.pair = again.addr, again.pair
	if status := r.explain("expired", id, r.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// soonExpired is a server whose certificate has expired: no server begins with one that has.
func startReceiverWithExpiredCertificate(t *testing.T) *receiver {
	for life := 3 * time.Second; life < patience; life *= 2 { // a busy machine starts slowly
		pair := newCertificate(t, life)
		if r, err := startReceiver(t, pair); err == nil {
			for time.Now().Before(pair.TLS.Leaf.NotAfter) {
				<-time.After(time.Until(pair.TLS.Leaf.NotAfter) + time.Millisecond)
			}
			return r
		}
	}
	t.Fatal("no server started before its certificate expired")
	return nil
}

// A second MX host was added, but not to the policy. The sender never connects, so there
// is no activity.
func TestExplainReportOfPolicyWithoutAnMX(t *testing.T) {
	t.Parallel()
	r := mustStartReceiver(t)
	r.records = append(r.records, "receiver.example. MX 20 mx2.receiver.example.", "mx2.receiver.example. A 127.0.0.1")
	id := r.addReports("sender.example", dayReport("Sender", thursday, tlsrpt.PolicySTS, 30, tlsrpt.Failure{
		Result: tlsrpt.ValidationFailure, ReasonCode: "mtasts-policy-mx-mismatch", Sessions: 4,
	}))
	if status := r.explain("policy_misses_mx", id, r.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The certificate was renewed with a new key, and the TLSA record is still the old one:
// senders complete the handshake, check, and quit.
func TestExplainReportOfStaleTLSARecord(t *testing.T) {
	t.Parallel()
	r := mustStartReceiver(t)
	hosts := map[string]string{"127.0.1.1": "mx1.sender.example", "127.0.1.2": "mx2.sender.example"}
	for addr, name := range hosts {
		r.connect(addr, r.quitAfterHandshake(name))
	}
	r.backdate(thursday.Add(7 * time.Hour))
	again := mustStartReceiver(t)
	r.addr, r.pair = again.addr, again.pair
	old, err := x509.ParseCertificate(newCertificate(t, time.Hour).TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	r.records = append(r.records, fmt.Sprintf("_%d._tcp.mx.receiver.example. TLSA 3 1 1 %x",
		netip.MustParseAddrPort(r.addr).Port(), sha256.Sum256(old.RawSubjectPublicKeyInfo)))
	reports := []*tlsrpt.Report{
		dayReport("Sender", thursday.AddDate(0, 0, -1), tlsrpt.PolicyTLSA, 12),
		dayReport("Sender", thursday, tlsrpt.PolicyTLSA, 0, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 2}),
	}
	for _, report := range reports {
		report.Policies[0].Policy.Domain = ourHost // RFC 8460, Section 1.1: the TLSA base domain
	}
	id := r.addReports("sender.example", reports...)
	if status := r.explain("stale_tlsa", id, r.network(senderZones(hosts)...)); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The sessions failed at a former MX host.
func TestExplainReportAboutUnknownHost(t *testing.T) {
	t.Parallel()
	r := mustStartReceiver(t)
	id := r.addReports("sender.example", dayReport("Sender\x1b[31m", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{
		Result: tlsrpt.CertificateHostMismatch, ReceivingMX: "mx.old\u202eprovider.example", AdditionalInfo: "see\x07 \x1b]0;title\x07", Sessions: 2,
	}))
	if status := r.explain("host_not_ours", id, r.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// docs/tls-reports.md shows what the command really prints.
func TestReportGuideShowsExplanationAsPrinted(t *testing.T) {
	golden, err := os.ReadFile("testdata/reports/october_2024.txt")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/tls-reports.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, golden) {
		t.Error("docs/tls-reports.md does not show testdata/reports/october_2024.txt as it is: copy it there")
	}
}
