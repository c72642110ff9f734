package tlsrptin

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/internal/testreport"
)

var october = testreport.Report{
	Submitter: "microsoft.test", Domain: "ours.example", ID: "133742101483291477+ours.example",
	Day: time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC), Failed: 27,
}

// verifiedMail parses a message that was received just now.
func verifiedMail(t *testing.T, keys keyLookup, mail string) (ledger.Report, bool, error) {
	t.Helper()
	received := receipt{at: time.Now()}
	return parseMail([]byte(mail), lookUpKeys(t.Context(), keys, []byte(mail), received).Verify(), received)
}

func TestOnlyASignatureOfTheSubmitterVerifiesAReport(t *testing.T) {
	submitter, other := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "evil.test")
	parent, below := testreport.NewSigner(t, "sender.co.uk"), testreport.NewSigner(t, "out.sender.co.uk")
	neighbour := testreport.NewSigner(t, "other.co.uk")
	from := func(submitter string) string {
		r := october
		r.Submitter = submitter
		return r.Mail()
	}
	mail := october.Mail()
	nameless := strings.Replace(strings.Replace(mail, "TLS-Report-Submitter: microsoft.test\r\n", "", 1), "microsoft.test!", "", 1)
	for name, tt := range map[string]struct {
		mail     string
		records  []string
		verified bool
		reason   string
	}{
		"for TLS reports":      {submitter.Sign(t, mail), []string{submitter.KeyRecord("s=tlsrpt;")}, true, "signed by microsoft.test"},
		"for all services":     {submitter.Sign(t, mail), []string{submitter.KeyRecord("s=*;")}, true, "signed by microsoft.test"},
		"for any service":      {submitter.Sign(t, mail), []string{submitter.KeyRecord("")}, true, "signed by microsoft.test"},
		"for several services": {submitter.Sign(t, mail), []string{submitter.KeyRecord("s=email : tlsrpt;")}, true, "signed by microsoft.test"},
		"for email alone":      {submitter.Sign(t, mail), []string{submitter.KeyRecord("s=email;")}, false, `the key is not for service tlsrpt (s="email")`},
		"of a key for tests":   {submitter.Sign(t, mail), []string{submitter.KeyRecord("t=y;")}, false, "for testing only"},
		"without a key":        {submitter.Sign(t, mail), nil, false, `the DKIM signature of "microsoft.test" cannot be verified: no key is published`},
		"by another key":       {submitter.Sign(t, mail), []string{testreport.NewSigner(t, "microsoft.test").KeyRecord("")}, false, "the header was changed, or another key signed it"},
		"by another domain":    {other.Sign(t, mail), []string{other.KeyRecord("")}, false, "signed by evil.test, not by microsoft.test"},
		"by both": {other.Sign(t, submitter.Sign(t, mail)), []string{other.KeyRecord(""), submitter.KeyRecord("")}, true,
			"signed by microsoft.test"},
		"by both, ours first": {submitter.Sign(t, other.Sign(t, mail)), []string{other.KeyRecord(""), submitter.KeyRecord("")}, true,
			"signed by microsoft.test"},
		"by both, ours broken": {other.Sign(t, submitter.Sign(t, mail)), []string{other.KeyRecord("")}, false,
			"signed by evil.test, not by microsoft.test"},
		"none":                {mail, nil, false, "no DKIM signature"},
		"over another body":   {strings.Replace(submitter.Sign(t, mail), "aggregate", "aggravating", 1), []string{submitter.KeyRecord("")}, false, "the body was changed"},
		"over another header": {strings.Replace(submitter.Sign(t, mail), "TLS-Report-Submitter: m", "TLS-Report-Submitter: n", 1), []string{submitter.KeyRecord("")}, false, "the header was changed, or another key signed it"},
		"of part of the body": {strings.Replace(submitter.Sign(t, mail), "DKIM-Signature: ", "DKIM-Signature: l=5; ", 1), []string{submitter.KeyRecord("")}, false, "part of the body only"},
		"of its organization": {parent.Sign(t, from("mail.sender.co.uk")), []string{parent.KeyRecord("")}, true, "signed by sender.co.uk"},
		"of its subdomain":    {below.Sign(t, from("sender.co.uk")), []string{below.KeyRecord("")}, true, "signed by out.sender.co.uk"},
		"of a sibling domain": {neighbour.Sign(t, from("sender.co.uk")), []string{neighbour.KeyRecord("")}, false, "not by sender.co.uk"},
		"without a submitter": {other.Sign(t, nameless), []string{other.KeyRecord("")}, true, "signed by evil.test"},
		"malformed":           {"DKIM-Signature: a\x01b\r\n" + mail, nil, false, "the DKIM signature is not valid: malformed tag"},
	} {
		r, retry, err := verifiedMail(t, newKeyLookup(testreport.Resolver(t, tt.records...)), tt.mail)
		if err != nil || retry {
			t.Errorf("%s: %v, retry %v", name, err, retry)
		}
		if r.Verified != tt.verified || !strings.Contains(r.Verdict, tt.reason) {
			t.Errorf("%s: verified %v, %q; want %v, %q", name, r.Verified, r.Verdict, tt.verified, tt.reason)
		}
	}
}

// Lines in a mailbox end in LF, and delivery added header fields at the top.
func TestSignatureIsValidInAMailbox(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	mail := "Return-Path: <a@microsoft.test>\n" + strings.ReplaceAll(signer.Sign(t, october.Mail()), "\r\n", "\n")
	if r, _, err := verifiedMail(t, newKeyLookup(testreport.Resolver(t, signer.KeyRecord(""))), mail); err != nil || !r.Verified {
		t.Errorf("%v, %q; want it verified", err, r.Verdict)
	}
}

func TestTemporaryFailureOfTheKeyLookupIsRetried(t *testing.T) {
	broken := testreport.NewSigner(t, "broken.test")
	theirs := october
	theirs.Submitter = "broken.test"
	for name, tt := range map[string]struct {
		mail     string
		resolver string
		retry    bool
	}{
		"the submitter's zone fails": {broken.Sign(t, theirs.Mail()), testreport.Resolver(t), true},
		"our resolver is down":       {broken.Sign(t, theirs.Mail()), "127.0.0.1:1", true},
		"another zone fails":         {broken.Sign(t, october.Mail()), testreport.Resolver(t), false},
	} {
		r, retry, err := verifiedMail(t, newKeyLookup(tt.resolver), tt.mail)
		if !strings.Contains(r.Verdict, tt.resolver) {
			t.Errorf("%s: %q does not name the server %s that was queried", name, r.Verdict, tt.resolver)
		}
		if err != nil || retry != tt.retry || r.Verified {
			t.Errorf("%s: %v, retry %v, %q; want retry %v", name, err, retry, r.Verdict, tt.retry)
		}
	}
}

func TestAlignedDomainsHaveOneOrganization(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"sender.com", "sender.com", true}, {"a.sender.com", "b.sender.com", true}, {"sender.com", "other.com", false},
		{"com", "net", false}, {"com", "com", false}, {"com", "sender.com", false}, {"", "", false}, // no organization
	} {
		if aligned(tt.a, tt.b) != tt.want || aligned(tt.b, tt.a) != tt.want {
			t.Errorf("%s and %s: want %v", tt.a, tt.b, tt.want)
		}
	}
}

// What a report says about itself does not change who signed it.
func TestFileNameDoesNotOverrideTheSubmitter(t *testing.T) {
	signer := testreport.NewSigner(t, "evil.test")
	forged := october
	forged.Submitter = "evil.test"
	mail := strings.Replace(forged.Mail(), "filename=\"evil.test!", "filename=\"microsoft.test!", 1)
	mail = signer.Sign(t, mail)
	r, _, err := verifiedMail(t, newKeyLookup(testreport.Resolver(t, signer.KeyRecord(""))), mail)
	if err != nil || r.Submitter != "evil.test" || !r.Verified {
		t.Errorf("%v: submitter %s, verified %v", err, r.Submitter, r.Verified)
	}
	if all := strings.Join(r.Warnings, "\n"); !strings.Contains(all, `file name: names the submitter "microsoft.test"`) {
		t.Errorf("no warning about the file name: %q", all)
	}
}

// The sixth signature counts for nothing, even the only valid one.
func TestFirstFiveSignaturesCount(t *testing.T) {
	valid, other := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "forwarder.test")
	keys := newKeyLookup(testreport.Resolver(t, valid.KeyRecord("")))
	mail := valid.Sign(t, october.Mail())
	for n := range 6 {
		r, _, err := verifiedMail(t, keys, mail)
		if err != nil || r.Verified != (n < 5) {
			t.Errorf("below %d signatures of others: verified %v, %v", n, r.Verified, err)
		}
		mail = other.Sign(t, mail)
	}
}

// A key that cannot be had changes nothing about a report that another signature verifies, so
// the report waits for nothing.
func TestVerifiedReportWaitsForNoOtherKey(t *testing.T) {
	signer, below := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "out.microsoft.test")
	keys := slowFor("out.microsoft.test", signer)
	for order, mail := range map[string]string{
		"first":  signer.Sign(t, below.Sign(t, october.Mail())),
		"second": below.Sign(t, signer.Sign(t, october.Mail())),
	} {
		synctest.Test(t, func(t *testing.T) {
			r, retry, err := verifiedMail(t, keys, mail)
			if err != nil || retry || !r.Verified || r.Verdict != "signed by microsoft.test" {
				t.Errorf("%s: verified %v, retry %v, %q, %v", order, r.Verified, retry, r.Verdict, err)
			}
		})
	}
}

// A resolver may be given without its port, as in resolv.conf. The error names the server.
func TestResolverWithoutAPort(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for given, server := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "ns.test": "ns.test:53",
		"2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:5353": "[2001:db8::1]:5353",
	} {
		_, err := newKeyLookup(given)(ended, "reports._domainkey.microsoft.test")
		var failed *net.DNSError
		if !errors.As(err, &failed) || failed.Server != server {
			t.Errorf("%s: %v, want the server %s", given, err, server)
		}
	}
	var failed *net.DNSError
	if _, err := newKeyLookup("")(ended, "reports._domainkey.microsoft.test"); !errors.As(err, &failed) || failed.Server == ":53" {
		t.Errorf("without a resolver: %v", err)
	}
}

// A name is looked up as it is, not in the domains that resolv.conf searches.
func TestKeyIsLookedUpAtItsNameOnly(t *testing.T) {
	for _, name := range []string{"reports._domainkey.microsoft.test", "reports._domainkey.microsoft.test."} {
		if got := rooted(name); got != "reports._domainkey.microsoft.test." {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestRightReportHasNoWarnings(t *testing.T) {
	right := october
	right.Failed, right.Successful = 0, 5
	if r, _, err := verifiedMail(t, offline, right.Mail()); err != nil || len(r.Warnings) != 0 {
		t.Errorf("%v: %q", err, r.Warnings)
	}
}
