package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"postern/internal/persona"
)

// A letter is the two arguments of --deliver.
type letter struct{ persona.Letter }

// Decode is called by kong.
func (l *letter) Decode(ctx *kong.DecodeContext) error {
	for _, address := range []*string{&l.From, &l.To} {
		if err := ctx.Scan.PopValueInto("address", address); err != nil {
			return fmt.Errorf("want two addresses, from and to: %w", err)
		}
	}
	return l.Check()
}
