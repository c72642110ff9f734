package dnssec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/testzone"
)

func TestOtherAnchorsAreBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	answer, err := ask(t.Context(), "signed.test.", dns.TypeMX)
	if err != nil {
		t.Fatal(err)
	}
	status, err := dnssec.New(ask, dnssec.RootAnchors()).Validate(t.Context(), "signed.test.", dns.TypeMX, answer)
	if status != dnssec.Bogus || !strings.Contains(err.Error(), "trust anchor") {
		t.Errorf("%v, %v", status, err)
	}
}

// A key has to match a DS record as a whole: its key tag and its algorithm are no secret (RFC 4035,
// Section 5.2).
func TestAnchorOfAnotherKeyIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	right, ok := parseRecord(t, s.Anchors[0]).(*dns.DS)
	if !ok {
		t.Fatal(s.Anchors)
	}
	for name, change := range map[string]func(*dns.DS){
		"digest":    func(ds *dns.DS) { ds.Digest = ds.Digest[1:] + ds.Digest[:1] },
		"key tag":   func(ds *dns.DS) { ds.KeyTag++ },
		"algorithm": func(ds *dns.DS) { ds.Algorithm = dns.ECDSAP384SHA384 },

		"algorithm, not supported": func(ds *dns.DS) { ds.Algorithm = dns.PRIVATEDNS }, // of the root, which is not insecure for that
	} {
		other := *right
		change(&other)
		s.Anchors = []string{other.String()}
		if status, err := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Bogus {
			t.Errorf("another %s: %v, %v", name, status, err)
		}
	}
}

func TestInvalidAnchorsAreRefused(t *testing.T) {
	for _, text := range []string{"", "; nothing", "example.org. DS 1 13 2 00", ". A 127.0.0.1", "not a zone file (", ". DS x", dnssec.RootAnchors()[0].String() + "\n. DS x"} {
		if anchors, err := dnssec.ReadAnchors(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %v", text, anchors)
		}
	}
	root := dnssec.RootAnchors()[0].String()
	fields := strings.Fields(root)[3:]
	for _, text := range []string{root, ". IN " + strings.Join(fields, " ") /* as IANA has it */, ". " + strings.Join(fields, " "), "@ IN " + strings.Join(fields, " ")} {
		if anchors, err := dnssec.ReadAnchors(strings.NewReader(text)); err != nil || len(anchors) != 1 {
			t.Errorf("%q: %v, %v", text, anchors, err)
		}
	}
	if anchors, err := dnssec.ReadAnchors(strings.NewReader(strings.Repeat(";\n", 32<<10) + root)); err == nil {
		t.Errorf("after 64 KiB: %v", anchors)
	}
}

// RFC 4035, Section 5.2: a zone with algorithms that the validator does not know is as if it
// were not signed.
func TestZoneOfUnknownAlgorithmsIsInsecure(t *testing.T) {
	for name, ds := range map[string]string{"algorithm": "DS 1 253 2 00", "digest": "DS 1 13 99 00"} {
		s := testzone.Start(t, tree(func(zones map[string]*testzone.Zone) {
			zones["test."].Records = []string{"signed.test. " + ds}
			zones["signed.test."].NoDS = true
		})...)
		for _, asked := range []string{"signed.test.", "gone.signed.test."} {
			if status, err := validate(t, s, asked, dns.TypeMX); status != dnssec.Insecure || err != nil {
				t.Errorf("%s, %s: %v, %v", name, asked, status, err)
			}
		}
	}
}

// A trust anchor can be a key, as BIND's and Unbound's files have it.
// A SHA-1 digest counts only where there is no better one (RFC 4509, Section 3): whoever finds a key with
// the same gains nothing.
func TestBetterDigestReplacesSHA1(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	sha256 := parseRecord(t, s.Anchors[0]).(*dns.DS)
	answer, err := tcpQuery(s.Addr)(t.Context(), ".", dns.TypeDNSKEY)
	if err != nil {
		t.Fatal(err)
	}
	var sha1 *dns.DS
	for _, record := range answer.Answer {
		if key, ok := record.(*dns.DNSKEY); ok && key.KeyTag() == sha256.KeyTag {
			sha1 = key.ToDS(dns.SHA1)
		}
	}
	s.Anchors = []string{sha1.String()}
	if status, err := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Secure || err != nil {
		t.Errorf("with SHA-1 alone: %v, %v", status, err)
	}
	sha256.Digest = strings.Repeat("00", 32)
	s.Anchors = append(s.Anchors, sha256.String())
	if status, _ := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Bogus {
		t.Errorf("with the SHA-256 digest of another key, too: %v", status)
	}
}

func TestKeyIsATrustAnchor(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	answer, err := tcpQuery(s.Addr)(t.Context(), ".", dns.TypeDNSKEY)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range answer.Answer {
		if key, ok := record.(*dns.DNSKEY); ok {
			s.Anchors = []string{key.String()}
		}
	}
	if !strings.Contains(s.Anchors[0], "DNSKEY") {
		t.Fatal(answer)
	}
	if status, err := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Secure || err != nil {
		t.Errorf("%v, %v", status, err)
	}
}

// From https://data.iana.org/root-anchors/root-anchors.xml.
func TestRootAnchorsAreThoseOfIANA(t *testing.T) {
	var got []string
	for _, ds := range dnssec.RootAnchors() {
		got = append(got, strings.Join(strings.Fields(ds.String())[4:], " "))
	}
	want := []string{
		"20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		"38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
