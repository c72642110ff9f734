package main

import (
	"log/slog"

	"postern/internal/config"
	"postern/internal/intake"
	"postern/internal/ledger"
)

// newIntake makes what takes TLS reports in for a server.
func newIntake(r config.Reports, book *ledger.Ledger, log *slog.Logger) *intake.Intake {
	return intake.New(intake.Settings{
		Addresses: r.Addresses,
		Only:      r.Delivery == config.Only,
		Resolver:  r.Resolver,
	}, book, log)
}
