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

// failed is what an address failed with.
func failed(addr, ehlo, id string, n int64) ledger.Activity {
	return ledger.Activity{Address: netip.MustParseAddr(addr), EHLO: ehlo, Counts: ledger.Counts{Failed: n}, Cases: map[string]int64{id: n}}
}

// ask explains a report of big.example with what is given.
func ask(t *testing.T, x Explainer, change func(*Question)) *Explanation {
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

func broken(id string) probe.Finding {
	return probe.Finding{ID: id, Severity: probe.Critical, Title: "It is " + id, Advice: []interop.Advice{{Software: "all servers", Action: "Mend " + id + "."}}}
}

// ofCase is what shows a case.
func ofCase(id string) probe.Finding {
	f := broken(id)
	f.Case, _ = interop.Find(id)
	return f
}

// says makes the report's failures those.
func says(failures ...tlsrpt.Failure) func(*Question) {
	return func(q *Question) { q.Report.Policies[0].Failures = failures }
}

// A conclusionOf is what is asked, and what is known; and the cause and the one next step that they
// decide on.
type conclusionOf struct {
	x           Explainer
	change      func(*Question)
	cause, next string
	sure        interop.Confidence
}

func concluded(t *testing.T, cases map[string]conclusionOf) {
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			c := ask(t, tt.x, tt.change).Conclusion
			if !strings.Contains(c.Cause, tt.cause) || !strings.Contains(c.Next, tt.next) || c.Confidence != tt.sure {
				t.Errorf("\n got %v: %s\nnext %s\nwant %v: %s\nnext %s", c.Confidence, c.Cause, c.Next, tt.sure, tt.cause, tt.next)
			}
		})
	}
}

// early are failures of the sender of the report, in its hours.
func early() []ledger.Activity {
	return []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 27)}
}

// in are sessions of the same that got in.
func in(n int64) []ledger.Activity {
	return []ledger.Activity{{Address: netip.MustParseAddr("192.0.2.7"), EHLO: "mx1.big.example", Counts: ledger.Counts{Full: n}}}
}

// proven has its name lead back.
var proven = names{"192.0.2.7": "mx1.big.example.", "mx1.big.example.": "192.0.2.7"}

// What we saw of the sender decides.
func TestConclusionsFromOurSessions(t *testing.T) {
	left := in(12)
	left[0].Unused = 9
	concluded(t, map[string]conclusionOf{
		"a known case, from addresses with their names": {Explainer{Ledger: &book{within: early()}, Resolver: proven, Prober: &domain{}}, nil,
			"early-ticket: Closes silently", `mode "stock"`, certain},
		"a known case, by its word alone": {Explainer{Ledger: &book{within: early()}, Resolver: names{}, Prober: &domain{}}, nil,
			"early-ticket: Closes silently", `mode "stock"`, likely},
		"a known case that is over": {Explainer{Ledger: &book{within: early(), later: in(12)}, Resolver: proven}, nil,
			"early-ticket", "since then 12 sessions of theirs got in", certain},
		"a known case that goes on": {Explainer{Ledger: &book{within: early(), later: append(in(12), early()...)}, Resolver: proven}, nil,
			"early-ticket", `mode "stock"`, certain},
		"a known case that is over for them, and the probe still sees": {
			Explainer{Ledger: &book{within: early(), later: in(12)}, Resolver: proven, Prober: &domain{findings: []probe.Finding{ofCase("early-ticket")}}}, nil,
			"early-ticket", "Mend early-ticket.", certain},
		"a known case that the probe sees too": {Explainer{Ledger: &book{within: early()}, Resolver: proven, Prober: &domain{findings: []probe.Finding{ofCase("early-ticket")}}}, nil,
			"early-ticket", "Mend early-ticket.", certain},
		"early tickets come before a policy that is wrong too": {
			Explainer{Ledger: &book{within: early()}, Resolver: proven, Prober: &domain{findings: []probe.Finding{broken("mta-sts-mx")}}}, nil, "early-ticket", `mode "stock"`, certain},
		"one case among many failures": {Explainer{Ledger: &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 13)}}, Resolver: proven}, nil,
			"We saw it 13×, the report counts 27 failed sessions", `mode "stock"`, likely},
		"no known case": {Explainer{Ledger: &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", ledger.Unknown, 3)}}, Prober: &domain{}}, nil,
			"no known case", "postern handshakes --case unknown --since 2024-10-24 --sender 192.0.2.7", 0},
		"no known case, and a few of one that is": {Explainer{Ledger: &book{within: []ledger.Activity{
			failed("192.0.2.6", "mx0.big.example", "early-ticket", 5), failed("192.0.2.7", "mx1.big.example", ledger.Unknown, 3), failed("192.0.2.8", "mx2.big.example", ledger.Unknown, 4),
		}}, Prober: &domain{}}, nil, "no known case", "--sender 192.0.2.8", 0},
		"they left after the handshake, and TLSA is stale": {
			Explainer{Ledger: &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "leaves-after-handshake", 27)}}, Prober: &domain{findings: []probe.Finding{broken("dane-mismatch")}}},
			nil, "It is dane-mismatch.", "Mend dane-mismatch.", certain},
		"they said goodbye after the handshake, and TLSA is stale": {
			Explainer{Ledger: &book{within: left}, Prober: &domain{findings: []probe.Finding{broken("dane-mismatch")}}}, nil, "It is dane-mismatch.", "Mend dane-mismatch.", certain},
		"they said goodbye after the handshake": {Explainer{Ledger: &book{within: left}, Prober: &domain{}}, nil,
			"9 completed the handshake and left without a command", "Compare your TLSA records", possible},
		"a word about the policy's web server, and another case": {Explainer{Ledger: &book{within: early()}, Resolver: proven, Prober: &domain{}},
			says(tlsrpt.Failure{Result: tlsrpt.STSPolicyFetchError, Sessions: 27}), "sts-policy-fetch-error says is not to be seen now", "Wait for the next report", possible},
		"a word about the certificate, and a case of that": {
			Explainer{Ledger: &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "certificate-refused", 27)}}, Resolver: proven, Prober: &domain{}},
			says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "certificate-refused", "", certain},
		"an unknown word":   {Explainer{Ledger: &book{within: early()}, Resolver: proven}, says(tlsrpt.Failure{Result: "new", Sessions: 27}), "early-ticket", `mode "stock"`, certain},
		"no details at all": {Explainer{Ledger: &book{within: early()}, Resolver: proven}, says(), "early-ticket", `mode "stock"`, certain},
	})
}

// What is to be seen now decides where our sessions do not.
func TestConclusionsFromHowItLooksNow(t *testing.T) {
	concluded(t, map[string]conclusionOf{
		"expired, and it is": {Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{broken("big-hello"), broken("expired")}}},
			says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "It is expired.", "Mend expired.", certain},
		"expired, and it was": {Explainer{Ledger: &book{}, Prober: &domain{}},
			says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "certificate-expired says is not to be seen now", "Wait for the next report", possible},
		"expired, and only something else is wrong": {Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{ofCase("early-ticket")}}},
			says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}), "certificate-expired says is not to be seen now", "Wait for the next report", possible},
		"expired, and nobody looked": {Explainer{Ledger: &book{}}, says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 27}),
			"Nobody looked whether it is so now", "postern probe receiver.example", possible},
		"a general word, and a policy without the host": {Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{broken("mta-sts-mx")}}}, nil,
			"It is mta-sts-mx.", "Mend mta-sts-mx.", likely},
		"the sender says which": {Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{broken("mta-sts-mx")}}},
			says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReasonCode: "mtasts-policy-mx-mismatch", Sessions: 27}), "It is mta-sts-mx.", "Mend mta-sts-mx.", certain},
		"something else is wrong": {Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{broken("unreachable")}}}, nil,
			"It is unreachable.", "Mend unreachable.", possible},
		"nothing was seen": {Explainer{Ledger: &book{}, Prober: &domain{}}, func(q *Question) { q.Report.Contact = "tls@big.example" },
			"may have failed before they came to us", "Ask the sender (tls@big.example)", possible},
		"nothing was seen, and nobody looked at the domain": {Explainer{Ledger: &book{}}, nil, "may have failed before they came to us", "postern probe receiver.example", possible},
	})
}

// Whose report it is, and about whom, goes before all else.
func TestConclusionsFromWhoseReportItIs(t *testing.T) {
	bare := tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 27}
	concluded(t, map[string]conclusionOf{
		"nothing failed": {Explainer{}, func(q *Question) { q.Report = day(24, 27, 0) }, "Nothing failed.", "Nothing has to be done.", certain},
		"it is over": {Explainer{}, func(q *Question) { q.Report, q.History = day(25, 27, 0), []*tlsrpt.Report{day(24, 0, 9)} },
			"what was wrong until 2024-10-24 is over", "Nothing has to be done.", certain},
		"no policies": {Explainer{}, func(q *Question) { q.Report.Policies = nil }, "Nothing failed.", "Nothing has to be done.", certain},
		"another MX host": {Explainer{Ledger: &book{}, Prober: &domain{hosts: []string{"mx.receiver.example", "mx2.receiver.example"}}},
			says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "MX2.receiver.example.", Sessions: 27}), "another MX host of receiver.example", "postern probe MX2.receiver.example.", certain},
		"a host that is none": {Explainer{Ledger: &book{}, Prober: &domain{hosts: []string{"mx.receiver.example"}}},
			says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 27}), "no MX host of receiver.example now", "Ask each name server", likely},
		"a host that is not ours, offline": {Explainer{Ledger: &book{}},
			says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 27}), "is not this server (mx.receiver.example)", "if it is yours, look there", certain},
		"some failed at ours": {Explainer{Ledger: &book{within: early()}, Resolver: proven},
			says(bare, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, ReceivingMX: "old.example", Sessions: 1}), "early-ticket", `mode "stock"`, certain},
		"a domain that is not ours": {Explainer{Ledger: &book{}, Prober: &domain{}}, func(q *Question) { q.Domains = []string{"ours.example"} },
			"this server takes no mail for it", "add it to domains", certain},
		"our domain, written otherwise": {Explainer{Ledger: &book{}}, func(q *Question) {
			q.Domains, q.Report.Policies[0].Policy.Domain = []string{"xn--bcher-kva.example"}, "Bücher.example."
		}, "may have failed before they came to us", "Look at the domain as it is now", possible},
		"not trusted": {Explainer{Ledger: &book{within: early()}}, func(q *Question) { q.Verified = false }, "anybody can write one", "--trust", 0},
		"not trusted, and a certificate that has expired": {Explainer{Ledger: &book{within: early()}, Prober: &domain{findings: []probe.Finding{broken("expired")}}},
			func(q *Question) {
				q.Verified = false
				says(tlsrpt.Failure{Result: tlsrpt.CertificateExpired, Sessions: 1})(q)
			}, "It is expired.", "Mend expired.", certain},
	})
}

// A report that anybody may have written asks for nobody's sessions, and makes us visit no
// domain that is not known to be ours.
func TestUntrustedReportIsNotCorrelated(t *testing.T) {
	b, d := &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 27)}}, &domain{}
	e := ask(t, Explainer{Ledger: b, Resolver: names{}, Prober: d}, func(q *Question) { q.Verified, q.Domains = false, nil })
	if len(b.asked) > 0 || len(d.asked) > 0 || len(e.Activity.Senders) > 0 {
		t.Errorf("the ledger was asked for %v, the network for %v", b.asked, d.asked)
	}
	if got := e.Activity.Text(); !strings.Contains(got, "not trusted") {
		t.Errorf("it does not say so: %s", got)
	}
}

func TestDomainOfOthersIsNotVisited(t *testing.T) {
	d := &domain{}
	e := ask(t, Explainer{Ledger: &book{}, Prober: d}, func(q *Question) { q.Domains = []string{"ours.example"} })
	if len(d.asked) > 0 || !strings.Contains(strings.Join(e.Records.Lines(), " "), "none of the domains") {
		t.Errorf("visited %v: %s", d.asked, strings.Join(e.Records.Lines(), " "))
	}
}

// What a probe only notes is nothing to mend, and no cause.
func TestNoticesOfTheProbeAreNotTold(t *testing.T) {
	notice := broken("unreachable")
	notice.Severity = probe.Notice
	e := ask(t, Explainer{Ledger: &book{}, Prober: &domain{findings: []probe.Finding{notice}}}, nil)
	if got := strings.Join(e.Records.Lines(), " "); got != "Nothing is to be mended." || strings.Contains(e.Conclusion.Cause, notice.Title) {
		t.Errorf("got %s, the cause %s", got, e.Conclusion.Cause)
	}
}

func TestNetworkThatDoesNotAnswerIsTold(t *testing.T) {
	e := ask(t, Explainer{Ledger: &book{}, Prober: &domain{err: errors.New("the resolver is silent")}}, nil)
	if got := strings.Join(e.Records.Lines(), " "); !strings.Contains(got, "the resolver is silent") {
		t.Errorf("got %s", got)
	}
}

func TestLedgerThatCannotBeReadIsAnError(t *testing.T) {
	broken := errors.New("the disk is gone")
	_, err := Explainer{Ledger: &book{err: broken}}.Explain(t.Context(), Question{Report: day(24, 0, 1), Submitter: "big.example", Verified: true})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
