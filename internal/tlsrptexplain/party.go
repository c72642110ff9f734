package tlsrptexplain

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/tlsrpt"
)

// aliases are the domains that a submitter's servers call themselves by, where that is
// not its own.
var aliases = map[string][]string{
	"microsoft.com": {"outlook.com"}, // golang/go#70232, mjl-/mox#237
}

// domainsOf are the domains that the names of a submitter's servers lie in: its own without what
// stands before it, and others that are known. None for what is no domain below a public suffix:
// the whole of "com" is nobody.
func domainsOf(submitter string) []string {
	own, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(submitter, ".")))
	if err != nil {
		return nil
	}
	return append([]string{own}, aliases[own]...)
}

// within tells whether a name is one of the domains, or lies below one.
func within(name string, domains []string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// addressesOf are those that the report gives as the sender's, those with most failures first.
func addressesOf(r *tlsrpt.Report) []netip.Addr {
	failed := make(map[netip.Addr]int64)
	for _, p := range r.Policies {
		for _, f := range p.Failures {
			if f.SendingMTA.IsValid() {
				failed[f.SendingMTA.Unmap()] += f.Sessions
			}
		}
	}
	return slices.SortedFunc(maps.Keys(failed), func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(failed[b], failed[a]), a.Compare(b))
	})
}
