package tlsrptexplain

import (
	"strings"
	"testing"

	"postern/interop"
	"postern/tlsrpt"
)

// rfcTypes are the result types of RFC 8460, Section 4.3.
var rfcTypes = []tlsrpt.ResultType{
	tlsrpt.STARTTLSNotSupported, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted,
	tlsrpt.ValidationFailure, tlsrpt.TLSAInvalid, tlsrpt.DNSSECInvalid, tlsrpt.DANERequired,
	tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid,
}

func TestEachResultTypeOfTheRFCIsExplainedWithItsSource(t *testing.T) {
	for _, result := range rfcTypes {
		w := meanings[result]
		for _, text := range []string{w.Says, w.Causes, w.Not} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is not a sentence", result, text)
			}
		}
		if len(w.Sources) == 0 || !strings.HasPrefix(w.Sources[0], rfc8460+"#section-4.3.") {
			t.Errorf("%s: sources %v, want the RFC's section first", result, w.Sources)
		}
	}
	if len(meanings) != len(rfcTypes) {
		t.Errorf("%d types are explained, the RFC has %d", len(meanings), len(rfcTypes))
	}
}

// A case that is renamed must not drop out of the rules silently.
func TestCasesOfResultTypesExist(t *testing.T) {
	for _, id := range certificateCases {
		if _, ok := interop.Find(id); !ok {
			t.Errorf("package interop has no case %s", id)
		}
	}
}

func TestUnknownResultTypeIsExplainedAsUnknown(t *testing.T) {
	counts, _ := countResults(tlsrpt.PolicyResult{Failures: []tlsrpt.Failure{
		{Result: "x\x1b[31m", Sessions: 1}, {Result: tlsrpt.ValidationFailure, Sessions: 2, ReasonCode: "a"},
		{Result: tlsrpt.ValidationFailure, Sessions: 3, ReasonCode: "a", AdditionalInfo: "b"}, {Sessions: 1},
	}})
	if len(counts) != 3 || counts[0].Sessions != 5 || strings.Join(counts[0].Reasons, ",") != "a,b" {
		t.Fatalf("%+v", counts)
	}
	if got, want := counts[1].Text(), `"x\x1b[31m" is not a result type of RFC 8460; only the sender knows what it means.`; got != want {
		t.Errorf("got %s", got)
	}
	if got := counts[2].Text(); !strings.Contains(got, "gives no result type") {
		t.Errorf("got %s", got)
	}
}

// In reports of mail.ru the total was less than the sum of the details. Other reports have no
// details, or no total.
func TestTotalsAreTheSubmittersAndSayHowDetailsDiffer(t *testing.T) {
	for _, tt := range []struct {
		p      tlsrpt.PolicyResult
		failed int64
		remark string
	}{
		{tlsrpt.PolicyResult{Failed: 1, Failures: []tlsrpt.Failure{{Sessions: 1}, {Sessions: 1}}}, 1, "failure details add up to 2"},
		{tlsrpt.PolicyResult{Failed: 2, Failures: []tlsrpt.Failure{{Sessions: 1}}}, 2, "failure details add up to 1"},
		{tlsrpt.PolicyResult{Failed: 2}, 2, "no failure details"},
		{tlsrpt.PolicyResult{Failures: []tlsrpt.Failure{{Sessions: 2}}}, 2, ""},
		{tlsrpt.PolicyResult{Failed: 2, Failures: []tlsrpt.Failure{{Sessions: 2}}}, 2, ""},
	} {
		got := TotalsOf(&tlsrpt.Report{Policies: []tlsrpt.PolicyResult{tt.p}}, "")
		if got.Failed != tt.failed || got.Remark() != tt.remark {
			t.Errorf("%+v: %d failed, %q; want %d, %q", tt.p, got.Failed, got.Remark(), tt.failed, tt.remark)
		}
	}
}

// In October 2024 operators suspected their MTA-STS policy because of this type.
func TestValidationFailureIsNotBlamedOnThePolicy(t *testing.T) {
	text := ResultCount{Result: tlsrpt.ValidationFailure, Meaning: meanings[tlsrpt.ValidationFailure]}.Text()
	for _, want := range []string{"no type for an unfinished handshake", "early-ticket", "does not mean that the policy is wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}

// A report may invent any number of types.
func TestResultTypesAreBounded(t *testing.T) {
	var p tlsrpt.PolicyResult
	for i := range 100_000 {
		p.Failures = append(p.Failures, tlsrpt.Failure{Result: tlsrpt.ResultType(strings.Repeat("x", i%997)), Sessions: 1, ReasonCode: strings.Repeat("y", i%991)})
	}
	counts, more := countResults(p)
	if len(counts) != maxTypes || more != 997-maxTypes || !counts[0].MoreReasons {
		t.Errorf("%d types are explained and %d left out, other reasons: %v", len(counts), more, counts[0].MoreReasons)
	}
	for _, s := range counts {
		if len(s.Text()) > 1000 || len(s.Reasons) > maxReasons {
			t.Errorf("%d bytes and %d reasons", len(s.Text()), len(s.Reasons))
		}
	}
}
