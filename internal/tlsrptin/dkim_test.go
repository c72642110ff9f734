package tlsrptin

import (
	"strings"
	"testing"
	"time"

	"postern/internal/testreport"
)

var october = testreport.Report{
	Submitter: "microsoft.test", Domain: "ours.example", ID: "133742101483291477+ours.example",
	Day: time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC), Failed: 27,
}

func TestASignatureOfTheSubmitterIsTrustedAndNoOther(t *testing.T) {
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
		mail    string
		records []string
		trusted bool
		words   string
	}{
		"for TLS reports":      {submitter.Sign(t, mail), []string{submitter.Record("s=tlsrpt;")}, true, "signed by microsoft.test"},
		"for all services":     {submitter.Sign(t, mail), []string{submitter.Record("s=*;")}, true, "signed by microsoft.test"},
		"for whatever":         {submitter.Sign(t, mail), []string{submitter.Record("")}, true, "signed by microsoft.test"},
		"for several services": {submitter.Sign(t, mail), []string{submitter.Record("s=email : tlsrpt;")}, true, "signed by microsoft.test"},
		"for email alone":      {submitter.Sign(t, mail), []string{submitter.Record("s=email;")}, false, `the key is not for TLS reports (s="email")`},
		"of a key for tests":   {submitter.Sign(t, mail), []string{submitter.Record("t=y;")}, false, "for testing only"},
		"without a key":        {submitter.Sign(t, mail), nil, false, `the signature of "microsoft.test" does not hold: no key for signature`},
		"by another key":       {submitter.Sign(t, mail), []string{testreport.NewSigner(t, "microsoft.test").Record("")}, false, "did not verify"},
		"by somebody else":     {other.Sign(t, mail), []string{other.Record("")}, false, "signed by evil.test, which does not speak for microsoft.test"},
		"by both": {other.Sign(t, submitter.Sign(t, mail)), []string{other.Record(""), submitter.Record("")}, true,
			"signed by microsoft.test"},
		"by both, ours broken": {other.Sign(t, submitter.Sign(t, mail)), []string{other.Record("")}, false,
			"signed by evil.test, which does not speak for microsoft.test"},
		"none":                  {mail, nil, false, "is not signed"},
		"over another body":     {strings.Replace(submitter.Sign(t, mail), "aggregate", "aggravating", 1), []string{submitter.Record("")}, false, "body hash did not verify"},
		"over another header":   {strings.Replace(submitter.Sign(t, mail), "TLS-Report-Submitter: m", "TLS-Report-Submitter: n", 1), []string{submitter.Record("")}, false, "did not verify"},
		"of a part of the body": {strings.Replace(submitter.Sign(t, mail), "DKIM-Signature: ", "DKIM-Signature: l=5; ", 1), []string{submitter.Record("")}, false, "insecure body length"},
		"of its organisation":   {parent.Sign(t, from("mail.sender.co.uk")), []string{parent.Record("")}, true, "signed by sender.co.uk"},
		"of a host of its":      {below.Sign(t, from("sender.co.uk")), []string{below.Record("")}, true, "signed by out.sender.co.uk"},
		"of a neighbour":        {neighbour.Sign(t, from("sender.co.uk")), []string{neighbour.Record("")}, false, "which does not speak for sender.co.uk"},
		"that alone says who":   {other.Sign(t, nameless), []string{other.Record("")}, true, "signed by evil.test"},
		"that is nonsense":      {"DKIM-Signature: a\x01b\r\n" + mail, nil, false, "does not hold: malformed signature tags"},
	} {
		signed := newKeys(testreport.Resolver(t, tt.records...)).signatures(t.Context(), []byte(tt.mail))
		r, later, err := readMail([]byte(tt.mail), signed)
		if err != nil || later {
			t.Errorf("%s: %v, later %v", name, err, later)
		}
		if r.Verified != tt.trusted || !strings.Contains(r.Verdict, tt.words) {
			t.Errorf("%s: trusted %v, %q; want %v, %q", name, r.Verified, r.Verdict, tt.trusted, tt.words)
		}
	}
}

// Maildirs and mailboxes have lines that end in LF, and what delivered them wrote above.
func TestSignatureHoldsInAMailbox(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	mail := "Return-Path: <a@microsoft.test>\n" + strings.ReplaceAll(signer.Sign(t, october.Mail()), "\r\n", "\n")
	signed := newKeys(testreport.Resolver(t, signer.Record(""))).signatures(t.Context(), []byte(mail))
	if r, _, err := readMail([]byte(mail), signed); err != nil || !r.Verified {
		t.Errorf("%v, %q; want it trusted", err, r.Verdict)
	}
}

func TestKeyThatCannotBeAskedForIsAskedForLater(t *testing.T) {
	broken := testreport.NewSigner(t, "broken.test")
	theirs := october
	theirs.Submitter = "broken.test"
	for name, tt := range map[string]struct {
		mail     string
		resolver string
		later    bool
	}{
		"the submitter's zone fails": {broken.Sign(t, theirs.Mail()), testreport.Resolver(t), true},
		"our resolver is not there":  {broken.Sign(t, theirs.Mail()), "127.0.0.1:1", true},
		"another zone fails":         {broken.Sign(t, october.Mail()), testreport.Resolver(t), false},
	} {
		mail := []byte(tt.mail)
		r, later, err := readMail(mail, newKeys(tt.resolver).signatures(t.Context(), mail))
		if !strings.Contains(r.Verdict, tt.resolver) {
			t.Errorf("%s: %q does not name the server %s that was asked", name, r.Verdict, tt.resolver)
		}
		if err != nil || later != tt.later || r.Verified {
			t.Errorf("%s: %v, later %v, %q; want later %v", name, err, later, r.Verdict, tt.later)
		}
	}
}

// What a report says of itself makes nobody else of whoever signed it.
func TestOrganizationNameIsNoSubmitter(t *testing.T) {
	signer := testreport.NewSigner(t, "evil.test")
	forged := october
	forged.Submitter = "evil.test"
	mail := strings.Replace(forged.Mail(), "filename=\"evil.test!", "filename=\"microsoft.test!", 1)
	mail = signer.Sign(t, mail)
	signed := newKeys(testreport.Resolver(t, signer.Record(""))).signatures(t.Context(), []byte(mail))
	r, _, err := readMail([]byte(mail), signed)
	if err != nil || r.Submitter != "evil.test" || !r.Verified {
		t.Errorf("%v: of %s, trusted %v", err, r.Submitter, r.Verified)
	}
	if all := strings.Join(r.Warnings, "\n"); !strings.Contains(all, `file name: says "microsoft.test"`) {
		t.Errorf("nothing warns of the name in the file's: %q", all)
	}
}

func FuzzForReports(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; s=tlsrpt; p=AAAA")
	f.Add("s=email:*;t=s:y")
	f.Add(";;=;s")
	f.Fuzz(func(t *testing.T, record string) {
		kept, err := forReports(record)
		if err != nil {
			return
		}
		for tag := range strings.SplitSeq(kept, ";") {
			if name, _, _ := strings.Cut(tag, "="); strings.TrimSpace(name) == "s" {
				t.Errorf("%q still says for what the key is: %q", record, kept)
			}
		}
		if again, err := forReports(kept); err != nil || again != kept {
			t.Errorf("%q becomes %q, and that %q, %v", record, kept, again, err)
		}
	})
}
