package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
)

// senders is the subcommand that shows who comes, and pins what they are offered.
type senders struct {
	List  sendersList  `cmd:"" default:"withargs" help:"List them, those with the most sessions first."`
	Show  sendersShow  `cmd:"" help:"Tell all about one: days, what it negotiates, what was decided."`
	Pin   sendersPin   `cmd:"" help:"Hold the senders of a network on a rung, whatever is learned."`
	Unpin sendersUnpin `cmd:"" help:"Remove a pin."`
}

type sendersList struct {
	ledgerFlags
	Since    since  `default:"7d" placeholder:"TIME" help:"Who came since then: so long ago (90m, 24h, 7d) or a date (${default})."`
	Sender   string `placeholder:"X" help:"Only this address, network, or part of an EHLO name."`
	Failed   bool   `help:"Only those with failed handshakes."`
	Returned bool   `help:"Only those that came back in plaintext after a failed handshake."`
	Limit    int    `default:"100" placeholder:"N" help:"At most so many (${default})."`
	JSON     bool   `help:"One JSON object a line; docs/json.md tells the fields."`
}

// Run is called by kong.
func (s sendersList) Run(ui terminal) error {
	book, err := s.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Senders(context.Background(), ledger.Filter{
		Since: s.Since.Time, Sender: s.Sender, Failed: s.Failed, Returned: s.Returned, Limit: s.Limit,
	})
	if err != nil {
		return err
	}
	if s.JSON {
		for _, sender := range found {
			if err := ui.json(senderRow(sender)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 {
		ui.note("no senders since " + s.Since.Local().Format(time.DateTime))
		return nil
	}
	fmt.Fprintln(ui.out, senderHead)
	for _, sender := range found {
		fmt.Fprintln(ui.out, senderLine(sender))
	}
	return nil
}

type sendersPin struct {
	ledgerFlags
	Network string `arg:"" help:"An address or a network, such as 192.0.2.0/24."`
	Rung    string `arg:"" help:"stock, first-write, own-write, no-ticket or tls12."`
	Why     string `required:"" placeholder:"TEXT" help:"The reason, for those who read it later."`
}

// Run is called by kong.
func (s sendersPin) Run(ui terminal) error {
	network, err := networkOf(s.Network)
	if err != nil {
		return &usageError{err: err}
	}
	var rung fallback.Rung
	if err := rung.UnmarshalText([]byte(s.Rung)); err != nil {
		return &usageError{err: err}
	}
	pin := ledger.Pin{Network: network, Rung: rung.String(), Why: s.Why, Since: time.Now()}
	if err := ledger.SetPin(context.Background(), s.path(), pin); err != nil {
		return s.hinted(err)
	}
	fmt.Fprintf(ui.out, "%s is pinned to %s; a running server heeds that within two seconds.\n", network, rung)
	return nil
}

type sendersUnpin struct {
	ledgerFlags
	Network string `arg:"" help:"The address or network, as it was pinned."`
}

// Run is called by kong.
func (s sendersUnpin) Run(ui terminal) error {
	network, err := networkOf(s.Network)
	if err != nil {
		return &usageError{err: err}
	}
	switch err := ledger.RemovePin(context.Background(), s.path(), network); {
	case errors.Is(err, ledger.ErrNoPin):
		return &hintedError{err, "postern senders show tells the pins of a sender"}
	case err != nil:
		return s.hinted(err)
	}
	fmt.Fprintf(ui.out, "%s is not pinned any more.\n", network)
	return nil
}

// networkOf reads a network, or an address as one of its own.
func networkOf(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network, such as 192.0.2.0/24", text)
	}
	return network.Masked(), nil
}
