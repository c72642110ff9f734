package main

import (
	"log/slog"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/tlsrptin"
)

// newIntake makes what takes TLS reports in for a server.
func newIntake(r config.Reports, book *ledger.Ledger, log *slog.Logger) *tlsrptin.Intake {
	return tlsrptin.New(tlsrptin.Settings{
		Addresses: r.Addresses,
		Only:      r.Delivery == config.Only,
		Resolver:  r.Resolver,
	}, book, log)
}
