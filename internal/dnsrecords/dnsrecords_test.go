package dnsrecords

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/mtasts"
)

func newKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

func config(t *testing.T) Config {
	return Config{
		Domain: "example.org", Host: "mx.example.org", Report: "mailto:tls-reports@example.org", Issuer: "letsencrypt.org",
		Policy: &mtasts.Policy{Mode: mtasts.Testing, MX: []string{"mx.example.org"}, MaxAge: time.Hour},
		Keys:   []crypto.PublicKey{newKey(t)}, Next: newKey(t),
	}
}

func recordsOf(t *testing.T, c Config) []Record {
	t.Helper()
	records, err := c.Records()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// parse reads records as a name server does.
func parse(t *testing.T, records []Record) (parsed []dns.RR) {
	t.Helper()
	var text strings.Builder
	for _, r := range records {
		text.WriteString("; " + r.Note + "\n" + r.String() + "\n")
	}
	parser := dns.NewZoneParser(strings.NewReader(text.String()), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		parsed = append(parsed, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, &text)
	}
	return parsed
}

func TestRecordsFormAZoneFile(t *testing.T) {
	c := config(t)
	c.Report = "https://example.org/" + strings.Repeat("long/", 60)
	parsed := parse(t, recordsOf(t, c))
	var kinds []string
	for _, rr := range parsed {
		kinds = append(kinds, dns.TypeToString[rr.Header().Rrtype])
	}
	if want := []string{"MX", "TXT", "CNAME", "TXT", "TXT", "TLSA", "TLSA", "CAA"}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	if text := parsed[3].(*dns.TXT).Txt; len(text) != 2 || !strings.Contains(strings.Join(text, ""), c.Report) {
		t.Errorf("the long text is %q", text)
	}
}

func TestIDChangesWithThePolicyAndWithNothingElse(t *testing.T) {
	c := config(t)
	first := recordsOf(t, c)[1]
	again, other := c, c
	again.Next, again.Report = nil, "mailto:other@example.org"
	other.Policy = &mtasts.Policy{Mode: mtasts.Enforce, MX: c.Policy.MX, MaxAge: c.Policy.MaxAge}
	if got := recordsOf(t, again)[1].Data; got != first.Data {
		t.Errorf("the same policy has %s, then %s", first.Data, got)
	}
	if got := recordsOf(t, other)[1].Data; got == first.Data {
		t.Errorf("two policies have %s", got)
	}
}

// publish answers from records, validated.
func publish(records []dns.RR) Lookup {
	return func(_ context.Context, name string, kind uint16) (found []dns.RR, _ bool, _ error) {
		for _, rr := range records {
			if rr.Header().Name == name && (rr.Header().Rrtype == kind || rr.Header().Rrtype == dns.TypeCNAME) {
				found = append(found, rr)
			}
		}
		return found, true, nil
	}
}

func unvalidated(lookup Lookup) Lookup {
	return func(ctx context.Context, name string, kind uint16) ([]dns.RR, bool, error) {
		records, _, err := lookup(ctx, name, kind)
		return records, false, err
	}
}

func TestVariantsOfPublishedRecords(t *testing.T) {
	c := config(t)
	for name, tt := range map[string]struct {
		published string
		at        int // of the records
		want      State
	}{
		"other preference":         {"example.org. 60 MX 5 MX.example.org.", 0, OK},
		"other host":               {"example.org. 60 MX 5 mx.example.com.", 0, Differs},
		"other text at the name":   {`_smtp._tls.example.org. 60 TXT "v=spf1 -all"`, 3, Missing},
		"without last semicolon":   {`_smtp._tls.example.org. 60 TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.org"`, 3, OK},
		"in two strings":           {`_smtp._tls.example.org. 60 TXT "v=TLSRPTv1; rua=mailto:" "tls-reports@example.org;"`, 3, OK},
		"no address at the host":   {"mx.example.org. 60 A 192.0.2.1", 4, Optional},
		"an address at the host":   {`_smtp._tls.mx.example.org. 60 TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.org"`, 4, OK},
		"another domain's address": {`_smtp._tls.mx.example.org. 60 TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.com"`, 4, OK},
		"other authority":          {`mx.example.org. 60 CAA 0 issue "ca.example"`, 5, Differs},
		"other property":           {`mx.example.org. 60 CAA 0 iodef "mailto:a@example.org"`, 5, Optional},
		"no record of authorities": {"mx.example.org. 60 A 192.0.2.1", 5, Optional},
	} {
		t.Run(name, func(t *testing.T) {
			rr, err := dns.NewRR(tt.published)
			if err != nil {
				t.Fatal(err)
			}
			comparison, err := c.Compare(t.Context(), publish([]dns.RR{rr}), time.Time{}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := comparison.Results[tt.at]; got.State != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestFailedLookupsAreUnclear(t *testing.T) {
	silent := func(context.Context, string, uint16) ([]dns.RR, bool, error) {
		return nil, false, errors.New("no answer")
	}
	comparison, err := config(t).Compare(t.Context(), silent, time.Time{}, time.Now())
	if err != nil || comparison.State() != Unclear || comparison.Rollover.Step != Undecided {
		t.Errorf("got %+v, %v", comparison, err)
	}
	for _, r := range comparison.Results {
		if r.State != Unclear {
			t.Errorf("%v is %s", r.Record, r.State)
		}
	}
}
