package alert

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
)

// A stranger with all networks of a provider makes up senders that deliver, and failures. What is
// known of others stays, however long ago they delivered.
func TestAStrangerDisplacesNothingThatIsKnown(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	p.try(here, "mail.sender.example", ledger.Failed, unknownCase)
	failure := signature{"t13d", "closed silently by the client"}
	network := func(i int) string {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), 0}), 24).String()
	}
	for i := range maxRhythms + 5000 {
		p.now = p.now.Add(time.Second)
		for range usedTo {
			p.try(network(i), fmt.Sprintf("mail.bot%d.example", i), ledger.Full)
		}
	}
	for i := range maxUnknowns + 500 {
		p.now = p.now.Add(time.Second)
		for range 2 {
			p.try(network(i), "mail.bot.example", ledger.Failed, unknownCase, func(t *ledger.Try) { t.JA4 = fmt.Sprint("t12d", i) })
		}
	}
	if n := len(p.rules.rhythms.all); n > maxRhythms || n < maxRhythms*9/10 {
		t.Errorf("%d senders are known, want nearly %d", n, maxRhythms)
	}
	if p.rules.rhythms.all[name{"sender.example", netip.MustParsePrefix(here)}] == nil {
		t.Error("the sender that delivered five times is forgotten")
	}
	if n := len(p.rules.unknowns.all); n > maxUnknowns || p.rules.unknowns.all[failure] == nil {
		t.Errorf("of %d failures, that of another network is forgotten", n)
	}
}

// Whoever says that they are a sender which delivers once a week causes no alert about it.
func TestAStrangerWithTheNameCausesNoAlert(t *testing.T) {
	p := newPost(t)
	confirmed := func(t *ledger.Try) { t.Name = "mail.sender.example" }
	for range 5 {
		p.try(here, "mail.sender.example", ledger.Full, confirmed)
		p.now = p.now.Add(7 * 24 * time.Hour)
	}
	for range 20 {
		p.try(there, "mail.sender.example", ledger.Failed)
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect()
	for range 6 {
		p.try(here, "mail.sender.example", ledger.Failed, confirmed)
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect("sender-stopped sender.example")
}

// One provider's networks are not unrelated.
func TestUnknownFailureOfOneProviderIsNoAlert(t *testing.T) {
	p := newPost(t)
	for range 3 {
		for i := range 20 {
			p.try(fmt.Sprintf("2001:db8:%x::/48", i), "mail.bot.example", ledger.Failed, unknownCase)
		}
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect()
}

// However long the names are, what is known can be stored and restored.
func TestWhatIsKnownOfSendersCanBeStored(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for i := range 24_000 {
		label := fmt.Sprintf("%06d", i) + strings.Repeat("x", 50)
		network := fmt.Sprintf("203.0.%d.0/24", i%256)
		for range 3 {
			p.try(network, label+".example", ledger.Full)
		}
		p.try(network, label+".example", ledger.Failed, func(t *ledger.Try) { t.Case = "plaintext-after-starttls" })
	}
	text := p.rules.stored()
	if len(text) > 12<<20 || len(text) < 4<<20 {
		t.Errorf("%d bytes are stored", len(text))
	}
	var stored storedSenders
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	restored := newPost(t)
	restored.rules.rhythms.restore(stored.Rhythms)
	if restored.rules.rhythms.all[name{"sender.example", netip.MustParsePrefix(here)}] == nil {
		t.Error("the sender in another network is forgotten")
	}
}
