package probe

import (
	"context"
	"errors"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
)

// Lookup asks a DNS server for the records of a name and kind as a [Prober] does; server
// is as [Prober.Resolver]. All records of the answer are returned, those of aliases and
// signatures too, none where there is no such name. Secure is the server's word that it
// has validated the answer (its AD bit).
//
// It returns an error where it could not be told, which is so of an answer that the server
// itself takes for forged.
func Lookup(ctx context.Context, server, name string, kind uint16) (records []dns.RR, secure bool, err error) {
	answer, err := newResolver(server, nil).ask(ctx, name, kind)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, false, err
	case answer == nil:
		return nil, false, nil
	case answer.status == dnssec.Bogus:
		return nil, false, answer.why
	}
	return answer.Answer, answer.status == dnssec.Secure, nil
}
