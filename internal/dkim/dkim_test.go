package dkim

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	reference "github.com/emersion/go-msgauth/dkim"
)

// keys are a zone of key records, by name.
type keys map[string]string

func (k keys) lookup(_ context.Context, name string) ([]string, error) {
	switch record := k[name]; record {
	case "":
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	case "SERVFAIL":
		return nil, &net.DNSError{Name: name, IsTemporary: true}
	default:
		return []string{record}, nil
	}
}

var (
	_, edKey, _ = ed25519.GenerateKey(nil)
	rsaKey, _   = rsa.GenerateKey(rand.Reader, 2048)
	received    = time.Unix(1_730_000_000, 0)
)

func edRecord(tags string) string {
	return "v=DKIM1; k=ed25519; " + tags + "p=" + base64.StdEncoding.EncodeToString(edKey.Public().(ed25519.PublicKey))
}

func rsaRecord(t testing.TB) string {
	t.Helper()
	data, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "p=" + base64.StdEncoding.EncodeToString(data)
}

const (
	name    = "sel._domainkey.signer.example"
	message = "Received: by mx.receiver.example;\r\n\tThu, 24 Oct 2024 03:00:00 +0000\r\nFrom: a@signer.example\r\nSubject:  Hello \t there\r\n  again \r\n" +
		"X-Empty:\r\nTo: b@receiver.example\r\nTo: c@receiver.example\r\n\r\nFirst  line \t\r\n\r\n second\t line\r\n\r\n\r\n"
)

// signed signs a message with the reference implementation.
func signed(t testing.TB, mail string, change func(*reference.SignOptions)) string {
	t.Helper()
	o := &reference.SignOptions{Domain: "signer.example", Selector: "sel", Signer: edKey}
	if change != nil {
		change(o)
	}
	var b strings.Builder
	if err := reference.Sign(&b, strings.NewReader(mail), o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func verify(mail string, k keys) []Signature {
	return Verifier{k.lookup, "tlsrpt"}.LookUpKeys(context.Background(), []byte(mail), received).Verify()
}

// one returns the error of the only signature.
func one(t *testing.T, mail string, k keys) error {
	t.Helper()
	all := verify(mail, k)
	if len(all) != 1 {
		t.Fatalf("%d signatures in %q", len(all), mail)
	}
	return all[0].Err
}

func TestSignaturesOfAnotherImplementationAreValid(t *testing.T) {
	for _, c := range []struct{ header, body reference.Canonicalization }{
		{"simple", "simple"}, {"simple", "relaxed"}, {"relaxed", "simple"}, {"relaxed", "relaxed"},
	} {
		for kind, signer := range map[string]crypto.Signer{edRecord(""): edKey, rsaRecord(t): rsaKey} {
			for _, mail := range []string{
				message, "From: a\r\n\r\n", "From: a\r\n\r\n\r\n\r\n", "From: a\r\n\r\nno end", "From: a\r\n\r\n \t\r\n", "From: a\r\nFrom : b\r\n\r\n\r\n\r\nx\r\n",
			} {
				sent := signed(t, mail, func(o *reference.SignOptions) {
					o.Signer, o.HeaderCanonicalization, o.BodyCanonicalization = signer, c.header, c.body
					o.HeaderKeys = []string{"From", "To", "Subject", "From", "Date", "X-Empty", "From"}
				})
				for _, arrived := range []string{sent, strings.ReplaceAll(sent, "\r\n", "\n"), "Received: again\r\n" + sent} {
					if err := one(t, arrived, keys{name: kind}); err != nil {
						t.Errorf("%s/%s: %v in\n%s", c.header, c.body, err, arrived)
					}
				}
				if err := one(t, strings.Replace(sent, "\r\n\r\n", "\r\n\r\nchanged", 1), keys{name: kind}); err == nil || !strings.Contains(err.Error(), "body was changed") {
					t.Errorf("%s/%s: a changed body: %v", c.header, c.body, err)
				}
				if err := one(t, strings.Replace(sent, "From:", "From:changed", 1), keys{name: kind}); err == nil || !strings.Contains(err.Error(), "header was changed") {
					t.Errorf("%s/%s: a changed header: %v", c.header, c.body, err)
				}
			}
		}
	}
}

// RFC 6376, Section 3.5: a signature expires relative to when the message arrived. Those of
// Google's reports do after a week.
func TestExpiryIsComparedWithTheTimeOfReceipt(t *testing.T) {
	expires := received.Add(7 * 24 * time.Hour)
	mail := signed(t, message, func(o *reference.SignOptions) { o.Expiration = expires })
	verifier := Verifier{keys{name: edRecord("")}.lookup, "tlsrpt"}
	for _, at := range []time.Time{received, expires} {
		if got := verifier.LookUpKeys(t.Context(), []byte(mail), at).Verify(); len(got) != 1 || got[0].Err != nil || !got[0].Expires.Equal(expires) {
			t.Errorf("received at %v: %+v", at, got)
		}
	}
	got := verifier.LookUpKeys(t.Context(), []byte(mail), expires.Add(time.Second)).Verify()
	if want := "it expired at 2024-11-03T03:33:20Z, and the message was received at 2024-11-03T03:33:21Z"; got[0].Err == nil || got[0].Err.Error() != want {
		t.Errorf("got %v, want %s", got[0].Err, want)
	}
}

func TestInvalidSignaturesSayWhy(t *testing.T) {
	mail := signed(t, message, nil)
	replace := func(old, new string) string {
		changed := strings.Replace(mail, old, new, 1)
		if changed == mail {
			t.Fatalf("no %q in\n%s", old, mail)
		}
		return changed
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small.N.Rsh(small.N, 8)
	smallData, err := x509.MarshalPKIXPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	large := rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 380_000), E: 65537}
	largeData, err := x509.MarshalPKIXPublicKey(&large)
	if err != nil {
		t.Fatal(err)
	}
	valid := keys{name: edRecord("")}
	for _, tt := range []struct {
		mail string
		keys keys
		want string
	}{
		{mail, keys{}, "no key is published"},
		{mail, keys{name: "SERVFAIL"}, "cannot look up the key"},
		{mail, keys{name: edRecord("s=email; ")}, `not for service tlsrpt (s="email")`},
		{mail, keys{name: edRecord("s=tlsrpt; t=y; ")}, "for testing only"},
		{mail, keys{name: edRecord("h=sha1; ")}, "not for SHA-256"},
		{mail, keys{name: "k=ed25519; p="}, "revoked"},
		{mail, keys{name: "k=ed25519"}, "no p="},
		{mail, keys{name: "v=DKIM2; p=AA=="}, "version"},
		{mail, keys{name: "p=AA==; v=DKIM1"}, "version"},
		{mail, keys{name: "k=new; p=AA=="}, "key type"},
		{mail, keys{name: "k=ed25519; p=AA=="}, "not an Ed25519 key"},
		{mail, keys{name: "p=AA=="}, "not an RSA key"},
		{mail, keys{name: "p=!"}, "not base64"},
		{mail, keys{name: "p=" + base64.StdEncoding.EncodeToString(smallData)}, "RSA key of 1016 bits"},
		{mail, keys{name: "p=" + base64.StdEncoding.EncodeToString(largeData)}, "RSA key of 380001 bits"},
		{mail, keys{name: rsaRecord(t)}, "type rsa, the signature of type"},
		{mail, keys{name: "nonsense"}, "malformed tag"},
		{replace("v=1", "v=2"), valid, "version"},
		{replace("ed25519-sha256", "ed25519-sha1"), valid, "not supported"},
		{replace("a=", "q=http; a="), valid, "key query"},
		{replace("a=", "l=5; a="), valid, "part of the body"},
		{replace("a=", "i=@other.example; a="), valid, "not in its domain"},
		{replace("a=", "i=@xsigner.example; a="), valid, "not in its domain"},
		{replace("a=", "x=soon; a="), valid, "not a time"},
		{replace("a=", "a=rsa-sha256; a="), valid, "repeated"},
		{replace("a=", "\x01; a="), valid, "malformed tag"},
		{replace("bh=", "bh=!"), valid, "not base64"},
		{replace("d=signer.example;", ""), valid, "tag d is missing"},
		{replace("c=simple/simple", "c=odd"), valid, "canonicalization"},
		{replace("c=simple/simple", "c=relaxed"), valid, "header was changed"},
		{replace(" h=", " h=Subject; n="), valid, "does not sign the field From"},
	} {
		if err := one(t, tt.mail, tt.keys); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		} else if errors.Is(err, ErrTemporary) != (tt.keys[name] == "SERVFAIL") {
			t.Errorf("temporary: %v", err)
		}
	}
}

func TestIdentityMayBeInASubdomain(t *testing.T) {
	below := signed(t, message, func(o *reference.SignOptions) { o.Identifier = "a@sub.signer.example" })
	if err := one(t, below, keys{name: edRecord("")}); err != nil {
		t.Error(err)
	}
	if err := one(t, below, keys{name: edRecord("t=s; ")}); err == nil || !strings.Contains(err.Error(), "not for subdomains") {
		t.Errorf("t=s: %v", err)
	}
}

func TestMessageWithoutASignatureHasNone(t *testing.T) {
	if got := verify(message, keys{name: edRecord("")}); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// RFC 6376, Section 3.6.2.2 leaves undefined which of several records is the key.
func TestSeveralKeyRecordsAreNone(t *testing.T) {
	for records, want := range map[int]string{0: "no key is published", 1: "", 2: "more than one key record is published"} {
		verifier := Verifier{func(context.Context, string) ([]string, error) {
			return slices.Repeat([]string{edRecord("")}, records), nil
		}, "tlsrpt"}
		got := verifier.LookUpKeys(t.Context(), []byte(signed(t, message, nil)), received).Verify()
		if len(got) != 1 || fmt.Sprint(got[0].Err) != cmp.Or(want, "<nil>") {
			t.Errorf("%d records: %+v, want %q", records, got, want)
		}
	}
}

func TestPanicOfALookupIsTheSignaturesError(t *testing.T) {
	verifier := Verifier{func(context.Context, string) ([]string, error) { panic("no") }, "tlsrpt"}
	got := verifier.LookUpKeys(t.Context(), []byte(signed(t, message, nil)), received).Verify()
	if len(got) != 1 || got[0].Err == nil || got[0].Err.Error() != "panic: no" {
		t.Errorf("got %+v", got)
	}
}

// The work for a hostile message is bounded: the test would time out otherwise.
func TestHostileMessagesAreVerifiedInLinearTime(t *testing.T) {
	mail := signed(t, message, nil)
	if got := verify(strings.Repeat(mail[:strings.Index(mail, "\r\nReceived")+2], 100)+message, keys{name: edRecord("")}); len(got) != 5 {
		t.Errorf("%d signatures are verified", len(got))
	}
	atLimit := strings.Replace(mail, " h=", " h="+strings.Repeat("F:", 10_000), 1)
	if err := one(t, strings.Repeat("F: x\r\n", maxHeaderLines-20)+atLimit, keys{name: edRecord("")}); err == nil {
		t.Error("valid")
	}
	for what, large := range map[string]string{
		"many lines":     strings.Repeat("F: x\r\n", maxHeaderLines) + mail,
		"folded lines":   "F: x\r\n" + strings.Repeat(" x\r\n", maxHeaderLines) + mail,
		"LF":             strings.Repeat("F: x\n", maxHeaderLines) + mail,
		"a long line":    "F: " + strings.Repeat("x", maxHeader) + "\r\n" + mail,
		"long signature": strings.Replace(mail, " b=", " b="+strings.Repeat("AAAA", maxHeader/4), 1),
		"no body":        strings.Repeat("F: x\r\n", maxHeaderLines+1),
	} {
		looked := false
		lookup := func(context.Context, string) ([]string, error) { looked = true; return nil, nil }
		got := Verifier{lookup, "tlsrpt"}.LookUpKeys(t.Context(), []byte(large), received).Verify()
		if len(got) != 1 || !errors.Is(got[0].Err, errHeaderTooLarge) || looked {
			t.Errorf("%s: %+v, key looked up: %v", what, got, looked)
		}
	}
	lines := strings.Count(mail[:strings.Index(mail, "\r\n\r\n")], "\r\n") + 1
	if err := one(t, strings.Repeat("F: x\r\n", 1000-lines)+mail, keys{name: edRecord("")}); err != nil {
		t.Errorf("1,000 lines: %v", err)
	}
	if err := one(t, strings.Repeat("F: x\r\n", 1001-lines)+mail, keys{name: edRecord("")}); !errors.Is(err, errHeaderTooLarge) {
		t.Errorf("1,001 lines: %v", err)
	}
	if err := one(t, strings.Replace(mail, "v=1", strings.Repeat(";", maxHeader/2)+"v=1", 1), keys{name: edRecord("")}); err == nil {
		t.Error("valid with semicolons")
	}
	if err := one(t, mail+strings.Repeat("\r\n", 500_001), keys{name: edRecord("")}); !errors.Is(err, errTooManyLines) {
		t.Errorf("half a million lines: %v", err)
	}
	if err := one(t, mail+strings.Repeat("\r\n", 499_000), keys{name: edRecord("")}); err != nil {
		t.Errorf("fewer lines at the end: %v", err)
	}
}

// FuzzVerify compares with the reference implementation, which takes a few signatures that the
// RFC does not, and the time of receipt for the present.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(signed(f, message, nil)), edRecord(""))
	f.Add([]byte(signed(f, message, func(o *reference.SignOptions) {
		o.HeaderCanonicalization, o.BodyCanonicalization, o.Signer = "relaxed", "relaxed", rsaKey
	})), rsaRecord(f))
	f.Add([]byte("From: a\nDKIM-Signature: v=1; a=rsa-sha256; d=a; s=b; h=from; bh=; b=\n\nx"), "p=")
	f.Fuzz(func(t *testing.T, mail []byte, record string) {
		lookup := func(string) ([]string, error) { return []string{record}, nil }
		theirs, err := reference.VerifyWithOptions(bytes.NewReader(mail), &reference.VerifyOptions{LookupTXT: lookup, MaxVerifications: MaxSignatures})
		if err != nil && !errors.Is(err, reference.ErrTooManySignatures) {
			theirs = nil
		}
		ours := Verifier{func(context.Context, string) ([]string, error) { return []string{record}, nil }, "email"}.LookUpKeys(t.Context(), mail, time.Now()).Verify()
		for i, s := range ours {
			if s.Err == nil && (i >= len(theirs) || theirs[i].Err != nil) {
				t.Errorf("signature %d of %s is valid, and not for the reference: %v", i, s.Domain, fmt.Sprint(theirs))
			}
		}
	})
}

// FuzzSigned signs messages with the reference implementation: both find the signature valid, or
// neither does.
func FuzzSigned(f *testing.F) {
	f.Add(" a  b ", "\n c\n", "\n \nx\t y ", true, false)
	f.Add("a", "", "\n\n", false, true)
	f.Add("a", "", "", false, false)
	f.Fuzz(func(t *testing.T, from, x, body string, relaxedHeader, relaxedBody bool) {
		fold := strings.NewReplacer("\n", "\r\n\t")
		mail := "From:" + fold.Replace(from) + "\r\nX :" + fold.Replace(x) + "\nFrom:b\r\n\r\n" + body
		o := &reference.SignOptions{Domain: "signer.example", Selector: "sel", Signer: edKey, HeaderKeys: []string{"From", "X", "From", "Subject"}}
		if relaxedHeader {
			o.HeaderCanonicalization = "relaxed"
		}
		if relaxedBody {
			o.BodyCanonicalization = "relaxed"
		}
		var b strings.Builder
		bare := strings.Contains(strings.ReplaceAll(mail, "\r\n", ""), "\r") // the RFC has no CR alone
		if bare || reference.Sign(&b, strings.NewReader(mail), o) != nil {
			return
		}
		record := edRecord("")
		theirs, err := reference.VerifyWithOptions(strings.NewReader(b.String()), &reference.VerifyOptions{
			LookupTXT: func(string) ([]string, error) { return []string{record}, nil }, MaxVerifications: 1,
		})
		if err != nil && !errors.Is(err, reference.ErrTooManySignatures) || len(theirs) == 0 {
			return
		}
		ours := verify(b.String(), keys{name: record})
		if len(ours) == 0 || (ours[0].Err == nil) != (theirs[0].Err == nil) {
			t.Errorf("%+v, the reference: %v, in %q", ours, theirs[0].Err, b.String())
		}
	})
}
