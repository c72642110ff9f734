package main

import (
	"errors"
	"fmt"
	"os"

	"postern/internal/dnssec"
	"postern/internal/persona"
	"postern/internal/probe"
)

// protocols are what is spoken, in clear before TLS or over it from the first byte.
var protocols = map[string]map[bool]persona.Protocol{
	"smtp": {false: persona.SMTP, true: persona.Implicit},
	"imap": {false: persona.IMAP, true: persona.ImplicitIMAP},
	"pop3": {false: persona.POP3, true: persona.ImplicitPOP3},
}

func (p probing) prober() (*probe.Prober, error) {
	prober := &probe.Prober{Resolver: p.Resolver, Timeout: p.Timeout}
	prober.Protocol = protocols[p.StartTLS][p.Implicit]
	if p.Deliver != nil {
		if p.StartTLS != "smtp" {
			return nil, &usageError{err: errors.New("--deliver is for SMTP: leave --starttls out")}
		}
		prober.Deliver, prober.Intrusive = &p.Deliver.Letter, p.Intrusive
	} else if p.Intrusive {
		return nil, &usageError{err: errors.New("--intrusive needs addresses of yours: --deliver FROM TO")}
	}
	for _, id := range p.As {
		known, ok := persona.Find(id)
		if !ok {
			return nil, &usageError{err: fmt.Errorf("--as: no sender %q is known; without --as a probe lists them all", id)}
		}
		prober.Personas = append(prober.Personas, known)
	}
	if err := p.trust(prober); err != nil {
		return nil, &usageError{err: err}
	}
	return prober, nil
}

// trust reads who is trusted.
func (p probing) trust(prober *probe.Prober) error {
	var err error
	if prober.RootCAs, err = authorities(p.CA); err != nil {
		return err
	}
	switch {
	case p.Anchor != "":
		file, err := os.Open(p.Anchor)
		if err != nil {
			return fmt.Errorf("--trust-anchor: %w", err)
		}
		defer file.Close()
		if prober.TrustAnchors, err = dnssec.ReadAnchors(file); err != nil {
			return fmt.Errorf("--trust-anchor: %s: %w", p.Anchor, err)
		}
	case p.DNSSEC == "validate":
		prober.TrustAnchors = dnssec.RootAnchors()
	}
	return nil
}
