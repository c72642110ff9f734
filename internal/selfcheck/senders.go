package selfcheck

import (
	"context"
	"slices"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/persona"
)

// A Group is the senders that some test clients imitate. Real senders are recognised by their
// organization, or by the cipher suites or the version of their ClientHello; of a group with
// none of these only failures are known, by their case.
type Group struct {
	Name     string
	Personas []string

	organizations []string // registered domains
	suitesOf      string   // the persona with the same cipher suites
	versions      []string // highest version, as in JA4
	group         handshake.Group
}

// groups are in the order of the page. A sender is of the first that matches.
var groups = []Group{
	{Name: "Microsoft: outlook.com and Exchange Online", organizations: []string{"outlook.com"},
		Personas: []string{"early-ticket", "ticket-in-finished-read", "healthy-schannel", "large-ticket"}},
	{Name: "Google", organizations: []string{"google.com"}, Personas: []string{"client-certificate-asked"}},
	{Name: "Postfix, Exim and others with OpenSSL", suitesOf: "healthy-openssl", Personas: []string{"healthy-openssl", "p521-first", "hello-retry"}},
	{Name: "Exim and others with GnuTLS", suitesOf: "healthy-gnutls", Personas: []string{"healthy-gnutls"}},
	{Name: "Senders in Go", suitesOf: "healthy-go", Personas: []string{"healthy-go", "ml-dsa-hello"}},
	{Name: "Gateways with TLS 1.2 at most", versions: []string{"12"}, Personas: []string{"tls12-only", "rsa-only-client"}},
	{Name: "Old appliances with TLS 1.0 or 1.1", versions: []string{"10", "11"}, Personas: []string{"tls10-only", "sha1-signatures-only"}},
	{Name: "Senders with post-quantum key exchange", group: handshake.Group(0x11ec), // X25519MLKEM768
		Personas: []string{"big-hello", "big-hello-split", "big-hello-bytes"}},
	{Name: "Senders that verify certificates, for MTA-STS or DANE", Personas: []string{"certificate-refused"}},
	{Name: "Senders with another server name, or none", Personas: []string{"unknown-sni", "no-sni", "sni-trailing-dot", "sni-address"}},
}

// Groups returns all groups. The last has the test clients that are in no other.
func Groups() []Group {
	all := slices.Clone(groups)
	rest := Group{Name: "Other clients"}
	for _, p := range persona.All() {
		if !slices.ContainsFunc(groups, func(g Group) bool { return slices.Contains(g.Personas, p.ID) }) {
			rest.Personas = append(rest.Personas, p.ID)
		}
	}
	return append(all, rest)
}

// Recognised reports whether real senders of the group can be recognised, and not only their
// failures.
func (g Group) Recognised() bool {
	return g.organizations != nil || g.suitesOf != "" || g.versions != nil || g.group != 0
}

// RealTime is the time over which real senders are counted.
const RealTime = 30 * 24 * time.Hour

// maxReal bounds the senders that are looked at: those with the most sessions.
const maxReal = 5000

// Real is what real senders did in RealTime.
type Real struct {
	ByGroup map[string]ledger.Counts // by the name of the group
	Senders map[string]int           // their number
	Failed  map[string]int64         // failed handshakes by case
}

// ReadReal counts what real senders did until now. Results are those of the hosts' checks, which
// have the fingerprints of the test clients.
func ReadReal(ctx context.Context, book *ledger.Reader, results []jsonout.Probed, now time.Time) (Real, error) {
	real := Real{make(map[string]ledger.Counts), make(map[string]int), make(map[string]int64)}
	suites := suitesIn(results)
	senders, err := book.Senders(ctx, ledger.Filter{Since: now.Add(-RealTime), Limit: maxReal})
	if err != nil {
		return real, err
	}
	for _, s := range senders {
		if name := groupOf(s, suites); name != "" {
			real.add(name, s.Counts)
			real.Senders[name]++
		}
	}
	days, err := book.Days(ctx, ledger.Filter{Since: now.Add(-RealTime), Limit: maxReal})
	if err != nil {
		return real, err
	}
	for _, day := range days {
		for _, g := range groups {
			if g.group != 0 && day.Group == g.group {
				real.add(g.Name, day.Counts)
			}
		}
	}
	periods, err := book.Periods(ctx, ledger.Span{From: now.Add(-RealTime), To: now}, 24*time.Hour)
	for _, p := range periods {
		for id, n := range p.Failed {
			real.Failed[id] += n
		}
	}
	return real, err
}

func (r Real) add(group string, n ledger.Counts) {
	counts := r.ByGroup[group]
	counts.Add(n)
	r.ByGroup[group] = counts
}

// groupOf returns the name of the first group that a sender is of, or nothing.
func groupOf(s ledger.Sender, suites map[string]string) string {
	domain, own := organization.Of(s.Name, s.EHLO).Domain, suitesOf(s.Fingerprint)
	for _, g := range groups {
		switch {
		case slices.Contains(g.organizations, domain),
			own != "" && own == suites[g.suitesOf],
			len(s.Fingerprint) > 3 && slices.Contains(g.versions, s.Fingerprint[1:3]):
			return g.Name
		}
	}
	return ""
}

// suitesOf returns the part of a JA4 fingerprint that is the hash of the cipher suites.
func suitesOf(ja4 string) string {
	_, rest, _ := strings.Cut(ja4, "_")
	hash, _, _ := strings.Cut(rest, "_")
	return hash
}

// suitesIn returns the hashes of the test clients' suites, by their IDs.
func suitesIn(results []jsonout.Probed) map[string]string {
	suites := make(map[string]string)
	for _, result := range results {
		for _, host := range result.Hosts {
			for _, address := range host.Addresses {
				for _, run := range address.Senders {
					suites[run.ID] = suitesOf(run.JA4)
				}
			}
		}
	}
	return suites
}
