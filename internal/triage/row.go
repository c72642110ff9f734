package triage

import (
	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/smtpd"
)

// row is what the ledger keeps of a session.
func row(v smtpd.Visit, outcome ledger.Outcome) ledger.Handshake {
	h := ledger.Handshake{
		Session:     v.Session,
		At:          v.Began,
		Address:     v.Addr,
		Network:     fallback.Network(v.Addr),
		EHLO:        v.EHLO,
		Fingerprint: v.JA4,
		Outcome:     outcome,
	}
	if v.JA4 != "" {
		h.Rung = v.Rung.String()
	}
	if v.TLS != nil {
		h.Version, h.Suite, h.Group = v.TLS.Version, v.TLS.CipherSuite, uint16(v.TLS.CurveID)
	}
	return h
}

// succeeded is the row of a sender that got in over TLS.
func succeeded(v smtpd.Visit) ledger.Handshake {
	outcome := ledger.Full
	if v.TLS.DidResume {
		outcome = ledger.Resumed
	}
	h := row(v, outcome)
	h.Unused = v.Handshake != nil && v.Handshake.Use == handshake.Unused
	return h
}
