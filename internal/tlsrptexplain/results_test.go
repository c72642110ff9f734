package tlsrptexplain

import (
	"strings"
	"testing"

	"postern/interop"
	"postern/tlsrpt"
)

// rfcTypes are all of RFC 8460, Section 4.3.
var rfcTypes = []tlsrpt.ResultType{
	tlsrpt.STARTTLSNotSupported, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted,
	tlsrpt.ValidationFailure, tlsrpt.TLSAInvalid, tlsrpt.DNSSECInvalid, tlsrpt.DANERequired,
	tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid,
}

func TestEachResultTypeOfTheRFCIsExplainedWithItsSource(t *testing.T) {
	for _, result := range rfcTypes {
		w := words[result]
		for _, text := range []string{w.Says, w.Can, w.Cannot} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is no sentence", result, text)
			}
		}
		if len(w.Sources) == 0 || !strings.HasPrefix(w.Sources[0], rfc8460+"#section-4.3.") {
			t.Errorf("%s: sources %v, want the RFC's section first", result, w.Sources)
		}
	}
	if len(words) != len(rfcTypes) {
		t.Errorf("%d types are explained, the RFC has %d", len(words), len(rfcTypes))
	}
}

// A case that is renamed must not fall out of the rules unseen.
func TestCasesOfResultTypesAreKnown(t *testing.T) {
	for _, id := range ofCertificate {
		if _, ok := interop.Find(id); !ok {
			t.Errorf("package interop has no case %s", id)
		}
	}
}

func TestUnknownResultTypeIsToldAsUnknown(t *testing.T) {
	said := saidOf(tlsrpt.PolicyResult{Failures: []tlsrpt.Failure{
		{Result: "x\x1b[31m", Sessions: 1}, {Result: tlsrpt.ValidationFailure, Sessions: 2, ReasonCode: "a"},
		{Result: tlsrpt.ValidationFailure, Sessions: 3, ReasonCode: "a", AdditionalInfo: "b"}, {Sessions: 1},
	}})
	if len(said) != 3 || said[0].Sessions != 5 || strings.Join(said[0].Reasons, ",") != "a,b" {
		t.Fatalf("%+v", said)
	}
	if got, want := said[1].Text(), `"x\x1b[31m" is no result type of RFC 8460, and is not known here: only its sender can say what it means.`; got != want {
		t.Errorf("got %s", got)
	}
	if got := said[2].Text(); !strings.Contains(got, "names no result type") {
		t.Errorf("got %s", got)
	}
}

// Reports of mail.ru have had totals of less than their details, others have no details.
func TestFailedIsTheTotalOrWhatTheDetailsComeTo(t *testing.T) {
	for _, p := range []tlsrpt.PolicyResult{
		{Failed: 1, Failures: []tlsrpt.Failure{{Sessions: 1}, {Sessions: 1}}}, {Failed: 2}, {Failed: 2, Failures: []tlsrpt.Failure{{Sessions: 1}}},
	} {
		if n := failedOf(p); n != 2 {
			t.Errorf("%d failed of %+v, want 2", n, p)
		}
	}
}

// The October of 2024 is told where its word is.
func TestValidationFailureIsNotBlamedOnThePolicy(t *testing.T) {
	text := ResultCount{Result: tlsrpt.ValidationFailure, Meaning: words[tlsrpt.ValidationFailure]}.Text()
	for _, want := range []string{"no type for a handshake that did not finish", "early-ticket", "does not say that the policy is wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}

// A stranger may make up as many types as a report has room for.
func TestResultTypesAreBounded(t *testing.T) {
	var p tlsrpt.PolicyResult
	for i := range 100_000 {
		p.Failures = append(p.Failures, tlsrpt.Failure{Result: tlsrpt.ResultType(strings.Repeat("x", i%997)), Sessions: 1, ReasonCode: strings.Repeat("y", i%991)})
	}
	said := saidOf(p)
	if len(said) != maxSaid {
		t.Errorf("%d types are told", len(said))
	}
	for _, s := range said {
		if len(s.Text()) > 1000 || len(s.Reasons) > maxReasons {
			t.Errorf("%d letters and %d reasons are told", len(s.Text()), len(s.Reasons))
		}
	}
}
