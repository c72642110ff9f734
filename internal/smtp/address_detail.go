package smtp

import (
	"fmt"
	"regexp"
)

// An AddressDetail is how much of mailbox addresses is written to a log or a store: they
// are personal data.
type AddressDetail int

// The details.
const (
	FullAddress AddressDetail = iota + 1
	DomainOnly
	NoAddress
)

var addressDetails = [...]string{FullAddress: "full", DomainOnly: "domain", NoAddress: "none"}

// String returns "full", "domain" or "none".
func (d AddressDetail) String() string { return addressDetails[d] }

// UnmarshalText parses "full", "domain" or "none".
func (d *AddressDetail) UnmarshalText(text []byte) error {
	for detail := FullAddress; detail <= NoAddress; detail++ {
		if string(text) == detail.String() {
			*d = detail
			return nil
		}
	}
	return fmt.Errorf("smtp: %q is not a detail of addresses: full, domain or none", text)
}

// Of returns what is kept of a mailbox. The mailbox of a bare postmaster has no domain.
func (d AddressDetail) Of(mailbox string) string {
	switch d {
	case FullAddress:
		return mailbox
	case DomainOnly:
		return MailboxDomain(mailbox)
	}
	return ""
}

// mailboxInText matches what looks like an address: servers quote them in their replies,
// some in a URL. Of several @ the last one is before the domain.
var mailboxInText = regexp.MustCompile(`(?:"[^"]*"|[^\s<>()\[\]",;:]+)+(@|%40)(\[[^\]\s]*\]|[^\s<>()\[\]"',;:/]+)`)

// In returns text with "…" in place of what is not kept of the addresses in it.
func (d AddressDetail) In(text string) string {
	switch d {
	case FullAddress:
		return text
	case DomainOnly:
		return mailboxInText.ReplaceAllString(text, "…$1$2")
	}
	return mailboxInText.ReplaceAllLiteralString(text, "…")
}
