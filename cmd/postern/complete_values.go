package main

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"postern/internal/alert"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/safetext"
	"postern/interop"
)

// values returns the words that a flag or an argument may be, by its tag complete or its enum,
// and whether it may be a file.
func (t *typedWords) values(v *kong.Value) (all []word, isFile bool) {
	switch kind := v.Tag.Get("complete"); {
	case kind == "command":
		all = commandWords(readWords(t.root, t.arguments).command)
	case kind != "":
		all = safeWords(valuesOf[kind](t))
	case v.Enum != "":
		all = plainWords(v.EnumSlice()...)
	}
	return all, v.Flag == nil && slices.Contains(fileArguments, v.Name) ||
		v.Flag != nil && slices.Contains(filePlaceholders, v.Flag.PlaceHolder)
}

// What names files: arguments by their name, flags by their placeholder.
var (
	fileArguments    = []string{"file", "report"}
	filePlaceholders = []string{"FILE", "FOLDER"}
)

func plainWords(names ...string) (all []word) {
	for _, name := range names {
		all = append(all, word{text: name})
	}
	return all
}

// shellWord matches words that no shell gives a meaning.
var shellWord = regexp.MustCompile(`^[0-9A-Za-z:][0-9A-Za-z._:/@+-]*$`)

// safeWords leaves out words that a shell could take for more than a word: bash does not quote
// what it completes, and strangers choose EHLO names.
func safeWords(all []word) []word {
	all = slices.DeleteFunc(all, func(w word) bool { return !shellWord.MatchString(w.text) })
	for i := range all {
		all[i].about = safetext.Shorten(all[i].about, 60)
	}
	return all
}

// valuesOf are the words of each kind of the tag complete.
var valuesOf = map[string]func(*typedWords) []word{
	"age":     func(*typedWords) []word { return plainWords("1h", "24h", "7d", "30d", "90d") },
	"alert":   fromLedger(alertWords),
	"case":    func(*typedWords) []word { return caseWords() },
	"anycase": func(*typedWords) []word { return append(caseWords(), word{ledger.Unknown, "without a case"}) },
	"host":    fromLedger(hostWords),
	"mode":    func(*typedWords) []word { return plainWords(modes()...) },
	"network": fromLedger(networkWords),
	"persona": func(*typedWords) []word { return personaWords() },
	"pin":     fromLedger(pinWords),
	"report":  fromLedger(reportWords),
	"sender":  fromLedger(senderWords),
	"session": fromLedger(sessionWords),
}

// Bounds of what is read from the ledger for one word.
const (
	completionTime = 2 * time.Second
	completionRows = 100
	completionAge  = 30 * 24 * time.Hour
)

// fromLedger returns words from the ledger that the typed flags name. Without a ledger, or
// without the right to read it, there are none.
func fromLedger(read func(context.Context, *ledger.Reader) []word) func(*typedWords) []word {
	return func(t *typedWords) []word {
		f := ledgerFlags{File: t.flags["config"], Data: t.flags["data"]}
		if f.AfterApply() != nil {
			return nil
		}
		book, err := ledger.OpenReader(f.path())
		if err != nil {
			return nil
		}
		defer book.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		return read(ctx, book)
	}
}

// recent selects what is recent.
func recent() ledger.Filter {
	return ledger.Filter{Since: time.Now().Add(-completionAge), Limit: completionRows}
}

// sessionWords are failed sessions, the newest first: only these have something to show.
func sessionWords(ctx context.Context, book *ledger.Reader) (all []word) {
	filter := recent()
	filter.Failed = true
	found, _ := book.Handshakes(ctx, filter)
	for _, h := range found {
		all = append(all, word{h.Session, fmt.Sprintf("%s %s %s", localTime(h.At), h.Case(), h.EHLO)})
	}
	return all
}

// senderWords are the networks and EHLO names of senders, those with the most sessions first.
func senderWords(ctx context.Context, book *ledger.Reader) []word {
	found, _ := book.Senders(ctx, recent())
	var networks, names []word
	for _, s := range found {
		networks = append(networks, word{s.Network.String(), s.EHLO})
		names = append(names, word{s.EHLO, s.Network.String()})
	}
	return distinct(append(networks, names...))
}

// hostWords are the hosts of the fleet.
func hostWords(ctx context.Context, book *ledger.Reader) []word {
	names, _ := hostNames(ctx, book)
	return plainWords(names...)
}

func networkWords(ctx context.Context, book *ledger.Reader) (all []word) {
	found, _ := book.Senders(ctx, recent())
	for _, s := range found {
		all = append(all, word{s.Network.String(), s.EHLO})
	}
	return distinct(all)
}

// distinct returns the first of those words that are the same.
func distinct(all []word) []word {
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(w word) bool {
		repeated := seen[w.text]
		seen[w.text] = true
		return repeated
	})
}

func pinWords(ctx context.Context, book *ledger.Reader) (all []word) {
	found, _ := book.Pins(ctx)
	for _, p := range found {
		all = append(all, word{prefixOrAddress(p.Network), p.Mode.String() + ": " + p.Why})
	}
	return all
}

// prefixOrAddress is a network as people write it: an address without its length.
func prefixOrAddress(network netip.Prefix) string {
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.String()
}

func reportWords(ctx context.Context, book *ledger.Reader) (all []word) {
	found, _ := book.Reports(ctx, ledger.ReportFilter{Since: recent().Since, Limit: completionRows})
	for _, r := range found {
		all = append(all, word{fmt.Sprint(r.ID), r.Day() + " " + r.From()})
	}
	return all
}

// alertWords are the open alerts.
func alertWords(ctx context.Context, book *ledger.Reader) (all []word) {
	open := openAlerts(completionRows)
	open.Host = ledger.Here // others have theirs acknowledged at their own host
	found, _ := book.Alerts(ctx, open)
	for _, a := range found {
		all = append(all, word{fmt.Sprint(a.ID), alert.Kind(a.Kind).Heading(a.Subject)})
	}
	return all
}

func caseWords() (all []word) {
	for _, known := range interop.Cases() {
		all = append(all, word{known.ID, known.Title})
	}
	return all
}

func personaWords() (all []word) {
	for _, p := range persona.All() {
		all = append(all, word{p.ID, p.Does})
	}
	return append(all, word{"help", "list the senders"})
}
