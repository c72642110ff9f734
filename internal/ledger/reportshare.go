package ledger

import (
	"cmp"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/internal/admission"
)

// Reports have a quarter of the file, since anybody can send some. Unverified ones have a
// quarter of that, or the verified reports of one domain would displace them all; either kind
// may use what the other leaves.
const (
	reportPart     = 4
	unverifiedPart = 4
)

// byReports deletes reports when there are too many: of each kind, the oldest of those with the
// largest share, so whoever sends many displaces their own.
func (r *retention) byReports(s *store) error {
	limit := r.maxSize / reportPart
	verified, err := s.number(`SELECT size FROM report_sizes WHERE verified`)
	if err != nil {
		return err
	}
	unverified, err := s.number(`SELECT size FROM report_sizes WHERE NOT verified`)
	if err != nil || verified+unverified <= limit {
		return err
	}
	room := max(limit-unverified, limit-limit/unverifiedPart) // for verified ones
	if err := s.keepReports(true, verified, room); err != nil {
		return err
	}
	return s.keepReports(false, unverified, limit-min(verified, room))
}

// keepReports deletes reports of one kind, which take a size, until they take a little less than
// the room.
func (s *store) keepReports(verified bool, size, room int64) error {
	if size <= room {
		return nil
	}
	return s.exec(`DELETE FROM reports WHERE id IN (SELECT id FROM (
		SELECT id, sum(size) OVER (ORDER BY taken, at DESC, id DESC) AS come_to FROM (
			SELECT id, at, size, sum(size) OVER (PARTITION BY share ORDER BY at DESC, id DESC) AS taken FROM reports WHERE verified = ?))
		WHERE come_to > ?)`, verified, room*19/20)
}

// share returns whose share of the room a report takes. A verified report's signer can have any
// number of domains below one that is registered, and an unverified report can name anybody, so
// its client's network counts.
func (r *Report) share() string {
	if r.Verified {
		return registered(r.Signer)
	}
	return admission.Holder(r.Address).String()
}

// registered returns the part of a domain that somebody paid for. Names below a private suffix
// of the public suffix list, as those of a dynamic DNS service, are free: they count together.
func registered(domain string) string {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	if _, above, below := strings.Cut(suffix, "."); below && !icann {
		if end, _ := publicsuffix.PublicSuffix(above); end == above {
			return suffix
		}
		return registered(above)
	}
	found, _ := publicsuffix.EffectiveTLDPlusOne(domain)
	return cmp.Or(found, domain)
}
