package tlsrptexplain

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/interop"
	"postern/tlsrpt"
)

// failed is the activity of an address with failures of one case.
func failed(addr, ehlo, id string, n int64) ledger.Activity {
	return ledger.Activity{Address: netip.MustParseAddr(addr), EHLO: ehlo, Counts: ledger.Counts{Failed: n}, Cases: map[string]int64{id: n}}
}

// explain explains a verified report of big.example.
func explain(t *testing.T, x Explainer, change func(*Question)) *Explanation {
	t.Helper()
	q := Question{
		Report: day(24, 0, 27), Submitter: "big.example", Verified: true,
		Hostname: "mx.receiver.example", Domains: []string{"receiver.example"}, Now: october.AddDate(0, 1, 0),
	}
	if change != nil {
		change(&q)
	}
	e, err := x.Explain(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func critical(id string) probe.Finding {
	return probe.Finding{ID: id, Severity: probe.Critical, Title: "It is " + id, Advice: []interop.Advice{{Software: "all servers", Action: "Fix " + id + "."}}}
}

// ofCase is a finding that shows a case.
func ofCase(id string) probe.Finding {
	f := critical(id)
	f.Case, _ = interop.Find(id)
	return f
}

// withFailures replaces the report's failures.
func withFailures(failures ...tlsrpt.Failure) func(*Question) {
	return func(q *Question) { q.Report.Policies[0].Failures = failures }
}

// A conclusionTest is a report and what is known, and the conclusion.
type conclusionTest struct {
	x           Explainer
	change      func(*Question)
	cause, next string
	confidence  interop.Confidence
}

func testConclusions(t *testing.T, cases map[string]conclusionTest) {
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			testConclusion(t, tt)
		})
	}
}

func testConclusion(t *testing.T, tt conclusionTest) {
	t.Helper()
	c := explain(t, tt.x, tt.change).Conclusion
	if !strings.Contains(c.Cause, tt.cause) || !strings.Contains(c.Next, tt.next) || c.Confidence != tt.confidence {
		t.Errorf("\n got %v: %s\nnext %s\nwant %v: %s\nnext %s", c.Confidence, c.Cause, c.Next, tt.confidence, tt.cause, tt.next)
	}
}

// earlyTicket is activity of the report's sender: failures of the case early-ticket.
func earlyTicket() []ledger.Activity {
	return []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 27)}
}

// completed is activity of the same sender: sessions that completed TLS.
func completed(n int64) []ledger.Activity {
	return []ledger.Activity{{Address: netip.MustParseAddr("192.0.2.7"), EHLO: "mx1.big.example", Counts: ledger.Counts{Full: n}}}
}

// confirmed has a name for the sender's address that resolves to it.
var confirmed = fakeDNS{"192.0.2.7": "mx1.big.example.", "mx1.big.example.": "192.0.2.7"}

// The sender's own sessions decide.
func TestConclusionsFromTheLedger(t *testing.T) {
	left := completed(12)
	left[0].Unused = 9
	unsure := earlyTicket()
	unsure[0].Unsure = map[string]int64{"early-ticket": 20}
	testConclusions(t, map[string]conclusionTest{
		"a known case, matched by reverse DNS": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed, Prober: &fakeProber{}}, nil,
			"early-ticket: Closes silently", `mode "stock"`, interop.AlmostCertain},
		"a known case, matched by EHLO alone": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: fakeDNS{}, Prober: &fakeProber{}}, nil,
			"early-ticket: Closes silently", `mode "stock"`, interop.Likely},
		"a known case whose diagnoses are only possible": {Explainer{Ledger: &fakeLedger{during: unsure}, Resolver: confirmed, Prober: &fakeProber{}}, nil,
			"early-ticket: Closes silently", `mode "stock"`, interop.Possible},
		"such a case that the probe finds too": {Explainer{Ledger: &fakeLedger{during: unsure}, Resolver: confirmed, Prober: &fakeProber{findings: []probe.Finding{ofCase("early-ticket")}}}, nil,
			"early-ticket", "Fix early-ticket.", interop.Likely},
		"a known case that is over": {Explainer{Ledger: &fakeLedger{during: earlyTicket(), later: completed(12)}, Resolver: confirmed}, nil,
			"early-ticket", "since then 12 sessions of this sender completed TLS", interop.AlmostCertain},
		"a known case that goes on": {Explainer{Ledger: &fakeLedger{during: earlyTicket(), later: append(completed(12), earlyTicket()...)}, Resolver: confirmed}, nil,
			"early-ticket", `mode "stock"`, interop.AlmostCertain},
		"a known case that is over for the sender, and that the probe still finds": {
			Explainer{Ledger: &fakeLedger{during: earlyTicket(), later: completed(12)}, Resolver: confirmed, Prober: &fakeProber{findings: []probe.Finding{ofCase("early-ticket")}}}, nil,
			"early-ticket", "Fix early-ticket.", interop.AlmostCertain},
		"a known case that the probe finds too": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed, Prober: &fakeProber{findings: []probe.Finding{ofCase("early-ticket")}}}, nil,
			"early-ticket", "Fix early-ticket.", interop.AlmostCertain},
		"early tickets, and a wrong policy too": {
			Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed, Prober: &fakeProber{findings: []probe.Finding{critical("mta-sts-mx")}}}, nil, "early-ticket", `mode "stock"`, interop.AlmostCertain},
		"one case among many failures": {Explainer{Ledger: &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 13)}}, Resolver: confirmed}, nil,
			"This server recorded 13 failures of this kind, the report counts 27 failed sessions", `mode "stock"`, interop.Likely},
		"no known case": {Explainer{Ledger: &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", ledger.Unknown, 3)}}, Prober: &fakeProber{}}, nil,
			"no known case", "postern handshakes --case unknown --since 2024-10-24 --sender 192.0.2.7", 0},
		"no known case, and a few failures of one": {Explainer{Ledger: &fakeLedger{during: []ledger.Activity{
			failed("192.0.2.6", "mx0.big.example", "early-ticket", 5), failed("192.0.2.7", "mx1.big.example", ledger.Unknown, 3), failed("192.0.2.8", "mx2.big.example", ledger.Unknown, 4),
		}}, Prober: &fakeProber{}}, nil, "no known case", "--sender 192.0.2.8", 0},
		"closed after the handshake, and TLSA is stale": {
			Explainer{Ledger: &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "leaves-after-handshake", 27)}}, Prober: &fakeProber{findings: []probe.Finding{critical("dane-mismatch")}}},
			nil, "It is dane-mismatch.", "Fix dane-mismatch.", interop.AlmostCertain},
		"QUIT after the handshake, and TLSA is stale": {
			Explainer{Ledger: &fakeLedger{during: left}, Prober: &fakeProber{findings: []probe.Finding{critical("dane-mismatch")}}}, nil, "It is dane-mismatch.", "Fix dane-mismatch.", interop.AlmostCertain},
		"QUIT after the handshake": {Explainer{Ledger: &fakeLedger{during: left}, Prober: &fakeProber{}}, nil,
			"9 sessions of this sender completed the handshake and ended without a command", "Compare your TLSA records", interop.Possible},
		"a type about the policy's web server, and another case": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed, Prober: &fakeProber{}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.STSPolicyFetchError, Sessions: 27}), "reports sts-policy-fetch-error, and the probe does not confirm it", "Wait for the next report", interop.Possible},
		"a type about the certificate, and a case of that": {
			Explainer{Ledger: &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "certificate-refused", 27)}}, Resolver: confirmed, Prober: &fakeProber{}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "certificate-refused", "", interop.AlmostCertain},
		"an unknown type":   {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed}, withFailures(tlsrpt.Failure{Result: "new", Sessions: 27}), "early-ticket", `mode "stock"`, interop.AlmostCertain},
		"no details at all": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed}, withFailures(), "early-ticket", `mode "stock"`, interop.AlmostCertain},
	})
}

// The probe decides if the ledger does not.
func TestConclusionsFromTheProbe(t *testing.T) {
	testConclusions(t, map[string]conclusionTest{
		"expired, and it is": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{critical("big-hello"), critical("expired")}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "It is expired.", "Fix expired.", interop.AlmostCertain},
		"expired, and it was": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "reports certificate-expired, and the probe does not confirm it", "Wait for the next report", interop.Possible},
		"expired, and the time of the probe was up": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{{ID: "time-up", Severity: probe.Unclear, Title: "Time was up"}}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "The probe does not confirm it, but was inconclusive: Time was up.", "postern probe --timeout 10m receiver.example", interop.Possible},
		"expired, and only something else is wrong": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{ofCase("early-ticket")}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "reports certificate-expired, and the probe does not confirm it", "Wait for the next report", interop.Possible},
		"expired, and not probed": {Explainer{Ledger: &fakeLedger{}}, withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}),
			"The domain was not probed to confirm that", "postern probe receiver.example", interop.Possible},
		"a general type, and a policy without the host": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{critical("mta-sts-mx")}}}, nil,
			"It is mta-sts-mx.", "Fix mta-sts-mx.", interop.Likely},
		"the sender says which": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{critical("mta-sts-mx")}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReasonCode: "mtasts-policy-mx-mismatch", Sessions: 27}), "It is mta-sts-mx.", "Fix mta-sts-mx.", interop.AlmostCertain},
		"something else is wrong": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{critical("unreachable")}}}, nil,
			"It is unreachable.", "Fix unreachable.", interop.Possible},
		"no sessions": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{}}, func(q *Question) { q.Report.Contact = "tls@big.example" },
			"may have failed before they reached this server", "Ask the sender (tls@big.example)", interop.Possible},
		"no sessions, and not probed": {Explainer{Ledger: &fakeLedger{}}, nil, "may have failed before they reached this server", "postern probe receiver.example", interop.Possible},
	})
}

// Who sent the report, and what it is about, comes first.
func TestConclusionsFromTheReport(t *testing.T) {
	bare := tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 27}
	testConclusions(t, map[string]conclusionTest{
		"nothing failed": {Explainer{}, func(q *Question) { q.Report = day(24, 27, 0) }, "No session failed.", "Nothing to do.", interop.AlmostCertain},
		"it is over": {Explainer{}, func(q *Question) { q.Report, q.History = day(25, 27, 0), past(day(24, 0, 9)) },
			"the problem that lasted until 2024-10-24 is over", "Nothing to do.", interop.AlmostCertain},
		"no policies": {Explainer{}, func(q *Question) { q.Report.Policies = nil }, "No session failed.", "Nothing to do.", interop.AlmostCertain},
		"another MX host": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{hosts: []string{"mx.receiver.example", "mx2.receiver.example"}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "MX2.receiver.example.", Sessions: 27}), "another MX host of receiver.example", "postern probe MX2.receiver.example.", interop.AlmostCertain},
		"the only MX host, which may be this server": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{hosts: []string{"mail.receiver.example"}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "mail.receiver.example", Sessions: 27}), "the only MX host of receiver.example", "set hostname to that name", interop.Possible},
		"an MX host with another name, and sessions that failed here": {
			Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed, Prober: &fakeProber{hosts: []string{"mail.receiver.example"}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "mail.receiver.example", Sessions: 27}), "early-ticket", `mode "stock"`, interop.AlmostCertain},
		"a host that is none": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{hosts: []string{"mx.receiver.example"}}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 27}), "neither this server nor, now, an MX host of receiver.example", "Query each name server", interop.Likely},
		"a host that is not ours, offline": {Explainer{Ledger: &fakeLedger{}},
			withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 27}), "not to this server (mx.receiver.example)", "If it is yours, look there", interop.AlmostCertain},
		"some failed at this server": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed},
			withFailures(bare, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 1}), "early-ticket", `mode "stock"`, interop.AlmostCertain},
		"a domain that is not ours": {Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{}}, func(q *Question) { q.Domains = []string{"ours.example"} },
			"this server does not accept mail for that domain", "add it to domains", interop.AlmostCertain},
		"our domain in another form": {Explainer{Ledger: &fakeLedger{}}, func(q *Question) {
			q.Domains, q.Report.Policies[0].Policy.Domain = []string{"xn--bcher-kva.example"}, "Bücher.example."
		}, "may have failed before they reached this server", "Probe the domain", interop.Possible},
		"not verified": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Resolver: confirmed}, func(q *Question) { q.Verified = false },
			"If the report is genuine, which is unverified: early-ticket", `mode "stock"`, interop.Likely},
		"not verified, and of a sender without a name": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}}, func(q *Question) { q.Verified, q.Submitter = false, "" },
			"no domain to search for", "postern probe receiver.example", 0},
		"not verified, and nothing failed": {Explainer{}, func(q *Question) { q.Verified, q.Report = false, day(24, 27, 0) },
			"If the report is genuine, which is unverified: No session failed.", "Nothing to do.", interop.Likely},
		"not verified, and a certificate that has expired": {Explainer{Ledger: &fakeLedger{during: earlyTicket()}, Prober: &fakeProber{findings: []probe.Finding{critical("expired")}}},
			func(q *Question) {
				q.Verified = false
				withFailures(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 1})(q)
			}, "which is unverified: It is expired.", "Fix expired.", interop.Likely},
	})
}

// The policy domain of DANE is the name of the MX host (RFC 8460, Section 1.1; mjl-/mox#125,
// sys4/tlsrpt-reporter#51), or the name that it is an alias of.
func TestPolicyDomainOfDANEIsTheMXHost(t *testing.T) {
	dns := fakeDNS{
		"192.0.2.7": "mx1.big.example.", "mx1.big.example.": "192.0.2.7",
		"MX receiver.example":        "mx.receiver.example. mx2.receiver.example. mx3.receiver.example.",
		"CNAME mx.receiver.example.": "node7.hosting.example.", "CNAME mx3.receiver.example.": "node8.hosting.example.",
		"MX other.example": "mx.other.example.",
	}
	half := fakeDNS{"MX receiver.example": "SERVFAIL", "MX other.example": "mx.other.example."}
	implicit := fakeDNS{"receiver.example": "192.0.2.25", "MX other.example": "mx.other.example."}
	here := &fakeLedger{during: earlyTicket()}
	hosts := []string{"mx.receiver.example", "mx2.receiver.example", "mx3.receiver.example"}
	about := func(domain string, more ...func(*Question)) func(*Question) {
		return func(q *Question) {
			q.Domains = []string{"other.example", "receiver.example"}
			q.Report.Policies[0].Policy = tlsrpt.Policy{Type: tlsrpt.PolicyTLSA, Domain: domain}
			for _, change := range more {
				change(q)
			}
		}
	}
	mtaSTS := func(q *Question) { q.Report.Policies[0].Policy.Type = tlsrpt.PolicySTS }
	for name, tt := range map[string]struct {
		conclusionTest
		probed string
	}{
		"this server":                  {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("MX.receiver.example."), "early-ticket", `mode "stock"`, interop.AlmostCertain}, "receiver.example"},
		"what this server is alias of": {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("node7.hosting.example"), "early-ticket", `mode "stock"`, interop.AlmostCertain}, "receiver.example"},
		"the recipients' domain":       {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("receiver.example"), "early-ticket", `mode "stock"`, interop.AlmostCertain}, "receiver.example"},
		"this server, offline":         {conclusionTest{Explainer{Ledger: here}, about("mx.receiver.example"), "early-ticket", `mode "stock"`, interop.Likely}, ""},
		"another MX host":              {conclusionTest{Explainer{Ledger: &fakeLedger{}, Resolver: dns}, about("mx2.receiver.example"), "another MX host of receiver.example", "postern probe mx2.receiver.example", interop.AlmostCertain}, "receiver.example"},
		"what another MX host is alias of": {conclusionTest{Explainer{Ledger: &fakeLedger{}, Resolver: dns}, about("node8.hosting.example"),
			"went to mx3.receiver.example, another MX host of receiver.example", "postern probe mx3.receiver.example", interop.AlmostCertain}, "receiver.example"},
		"another MX host, offline": {conclusionTest{Explainer{Ledger: &fakeLedger{}}, about("mx2.receiver.example"), "not the name of this server", "another name of this server", interop.Likely}, ""},
		"a stranger's host":        {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("mx.stranger.example"), "neither this server nor, now, an MX host of your domains", "add the domain to domains", interop.Likely}, ""},
		"a stranger's host, and one domain has no MX": {conclusionTest{Explainer{Ledger: here, Resolver: implicit}, about("mx.stranger.example"),
			"neither this server nor, now, an MX host of your domains", "add the domain to domains", interop.Likely}, ""},
		"perhaps a stranger's, and the resolver does not know our domains": {conclusionTest{Explainer{Ledger: &fakeLedger{}, Resolver: fakeDNS{}}, about("mx2.receiver.example"),
			"not the name of this server", "another name of this server", interop.Likely}, ""},
		"perhaps a stranger's":                  {conclusionTest{Explainer{Ledger: &fakeLedger{}, Resolver: half}, about("mx2.receiver.example"), "not the name of this server", "another name of this server", interop.Likely}, ""},
		"MTA-STS of this server as a smarthost": {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("mx.receiver.example", mtaSTS), "early-ticket", `mode "stock"`, interop.AlmostCertain}, "receiver.example"},
		"MTA-STS of a stranger": {conclusionTest{Explainer{Ledger: here, Resolver: dns}, about("stranger.example", mtaSTS), "does not accept mail for that domain",
			"add it to domains", interop.AlmostCertain}, ""},
		"MTA-STS of a stranger, and DNS fails": {conclusionTest{Explainer{Ledger: here, Resolver: half}, about("stranger.example", mtaSTS), "does not accept mail for that domain",
			"add it to domains", interop.AlmostCertain}, ""},
		"MTA-STS of a stranger, offline": {conclusionTest{Explainer{Ledger: here}, about("stranger.example", mtaSTS), "does not accept mail for that domain",
			"add it to domains", interop.AlmostCertain}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			prober := &fakeProber{hosts: hosts}
			if tt.x.Resolver != nil {
				tt.x.Prober = prober
			}
			testConclusion(t, tt.conclusionTest)
			if got := strings.Join(prober.probed, " "); got != tt.probed && tt.x.Prober != nil {
				t.Errorf("probed %q, want %q", got, tt.probed)
			}
		})
	}
}

// Without DNS, the domain behind the host name is clear if there is only one.
func TestHostOfTheOnlyDomainIsProbedAsThatDomain(t *testing.T) {
	e := explain(t, Explainer{Ledger: &fakeLedger{}}, func(q *Question) {
		q.Report.Policies[0].Policy = tlsrpt.Policy{Type: tlsrpt.PolicyTLSA, Domain: "mx.receiver.example"}
	})
	if want := "Probe the domain: postern probe receiver.example."; e.Conclusion.Next != want {
		t.Errorf("next is %q, want %q", e.Conclusion.Next, want)
	}
}

// The operator sees what was seen here, marked as what it is. A forged report must not make
// Postern probe other people's servers.
func TestUnverifiedReportIsMatchedToSessionsAndMarked(t *testing.T) {
	b, d := &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 27)}}, &fakeProber{}
	e := explain(t, Explainer{Ledger: b, Resolver: fakeDNS{}, Prober: d}, func(q *Question) { q.Verified, q.Domains = false, nil })
	if len(d.probed) > 0 || matches(e.Activity) != "192.0.2.7 by ehlo" {
		t.Errorf("probed %v, matched %s", d.probed, matches(e.Activity))
	}
	if got := e.Activity.Text(); !strings.HasPrefix(got, "The report is unverified") || !strings.Contains(got, "27 failed") {
		t.Errorf("got %s", got)
	}
}

func TestForeignDomainIsNotProbed(t *testing.T) {
	d := &fakeProber{}
	e := explain(t, Explainer{Ledger: &fakeLedger{}, Prober: d}, func(q *Question) { q.Domains = []string{"ours.example"} })
	if len(d.probed) > 0 || !strings.Contains(strings.Join(e.Records.Lines(), " "), "receiver.example is neither a domain that this server accepts mail for") {
		t.Errorf("probed %v: %s", d.probed, strings.Join(e.Records.Lines(), " "))
	}
}

// Postfix with tlsrpt-reporter names no domain if it found no policy (sys4/tlsrpt-reporter#51).
func TestReportWithoutADomainIsAboutTheOnlyOne(t *testing.T) {
	for want, domains := range map[string][]string{"receiver.example": {"receiver.example"}, "": {"receiver.example", "other.example"}} {
		d := &fakeProber{}
		e := explain(t, Explainer{Ledger: &fakeLedger{}, Prober: d}, func(q *Question) {
			q.Domains, q.Report.Policies[0].Policy = domains, tlsrpt.Policy{Type: tlsrpt.NoPolicy}
		})
		if got := strings.Join(d.probed, " "); got != want || (e.Records.NotChecked == "") != (want != "") {
			t.Errorf("with %v probed %q, want %q: %s", domains, got, want, e.Records.NotChecked)
		}
	}
}

// A notice of the probe is not a problem, and not a cause.
func TestNoticesOfTheProbeAreLeftOut(t *testing.T) {
	notice := critical("unreachable")
	notice.Severity = probe.Notice
	e := explain(t, Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{findings: []probe.Finding{notice}}}, nil)
	if got := strings.Join(e.Records.Lines(), " "); got != "No problems found." || strings.Contains(e.Conclusion.Cause, notice.Title) {
		t.Errorf("got %s, the cause %s", got, e.Conclusion.Cause)
	}
}

func TestErrorOfTheProbeIsShown(t *testing.T) {
	e := explain(t, Explainer{Ledger: &fakeLedger{}, Prober: &fakeProber{err: errors.New("the resolver is silent")}}, nil)
	if got := strings.Join(e.Records.Lines(), " "); !strings.Contains(got, "the resolver is silent") {
		t.Errorf("got %s", got)
	}
}

func TestErrorOfTheLedgerIsReturned(t *testing.T) {
	broken := errors.New("the disk is gone")
	_, err := Explainer{Ledger: &fakeLedger{err: broken}}.Explain(t.Context(), Question{Report: day(24, 0, 1), Submitter: "big.example", Verified: true})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
