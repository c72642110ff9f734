package config

import (
	"cmp"

	"postern/internal/smtp"
)

// Emptied returns a problem if the configuration is of a file that sets nothing, and no flag does
// either: a full disk or an editor may have emptied it, and a server with it would refuse all mail
// for good.
func (c *Config) Emptied() Problems {
	if c.file == "" || len(c.places) > 0 {
		return nil
	}
	return Problems{{
		Where: c.file, What: "sets nothing, so all mail for your domains would be refused",
		Remedy: "restore the file, or copy deploy/postern.toml; to try postern without a configuration, name none",
	}}
}

// MissingIn returns a problem for each setting of c that its successor does not have
// any more, where mail would be lost: the hostname and the domains, which would become
// the defaults, and certificates. A file that was emptied or cut is valid TOML, and
// with it all mail would be refused for good.
//
// A certificate is missing if there are fewer than before. Other files in its place
// are a change like any other.
func (c *Config) MissingIn(next *Config) Problems {
	var missing Problems
	note := func(key, was string) {
		missing = append(missing, Problem{
			Where:  cmp.Or(next.file, "--config") + ": " + key,
			What:   "is missing; it was " + was,
			Remedy: "restore it and reload again; if it shall go, restart",
		})
	}
	if c.places.given("hostname") && !next.places.given("hostname") {
		note("hostname", c.Hostname)
	}
	if c.places.given("domains") && !next.places.given("domains") {
		note("domains", Summary(c.Domains))
	}
	if len(next.Certificates) < len(c.Certificates) {
		kept := make(map[string]bool, len(next.Certificates))
		for _, pair := range next.Certificates {
			kept[pair.CertFile] = true
		}
		for _, pair := range c.Certificates {
			if !kept[pair.CertFile] {
				note("certificate", pair.CertFile)
			}
		}
	}
	return missing
}

// AcceptedIn returns the domains and recipients of c's successor for which c accepts no mail, and
// those of c for which its successor accepts none. Without a list of recipients, all are accepted.
func (c *Config) AcceptedIn(next *Config) (added, removed []string) {
	added, removed = difference(c.Domains, next.Domains, smtp.FoldDomain)
	if len(c.Recipients) > 0 && len(next.Recipients) > 0 {
		more, fewer := difference(c.Recipients, next.Recipients, smtp.FoldMailbox)
		added, removed = append(added, more...), append(removed, fewer...)
	}
	return added, removed
}

// difference returns the names that only now has, and those that only was has, as fold compares
// them. It costs little where they differ in few places.
func difference(was, now []string, fold func(string) string) (added, removed []string) {
	for len(was) > 0 && len(now) > 0 && was[0] == now[0] {
		was, now = was[1:], now[1:]
	}
	for len(was) > 0 && len(now) > 0 && was[len(was)-1] == now[len(now)-1] {
		was, now = was[:len(was)-1], now[:len(now)-1]
	}
	return without(now, was, fold), without(was, now, fold)
}

func without(names, others []string, fold func(string) string) (rest []string) {
	have := make(map[string]bool, len(others))
	for _, name := range others {
		have[fold(name)] = true
	}
	for _, name := range names {
		if !have[fold(name)] {
			rest = append(rest, name)
		}
	}
	return rest
}
