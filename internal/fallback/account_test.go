package fallback

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/handshake"
	"postern/sessionticket"
)

var update = flag.Bool("update", false, "rewrite testdata/accounts.txt")

// An account is what operators read and what is stored of a story, in full: of each handshake the
// mode, the reason and the outcome, then the decisions, then the fields of states that changed.
type account struct {
	strings.Builder
	*Selector
	now    time.Time
	stored map[key]State
}

// connect lets a sender make handshakes, a quarter of an hour between them.
func (a *account) connect(c client, addr string, times int) {
	for range times {
		s := Sender{Fingerprint: "a"}
		if addr != "unknown" {
			s = from(addr, "a")
		}
		next, expected := a.Next(s, a.now)
		mode, why := a.Choose(s, a.now)
		if mode != next || why != expected {
			fmt.Fprintf(a, "next was to be %v (%s)\n", next, expected)
		}
		fmt.Fprintf(a, "%s %s in %v (%s): %v\n", a.now.Format("2 15:04"), addr, mode, why, c[mode])
		a.decided(a.Learn(s, mode, c[mode], a.now))
		a.now = a.now.Add(15 * time.Minute)
	}
}

// decided writes decisions and the changes of states, that of a sender before that of its fingerprint.
func (a *account) decided(decisions []Decision) {
	for _, d := range decisions {
		fmt.Fprintf(a, "  %s %v %s, %v to %v: %s\n", d.Kind, d.Network, d.Fingerprint, d.From, d.To, d.Why)
	}
	for _, m := range []*memory{&a.senders, &a.fingerprints} {
		for k, known := range m.entries {
			if changes := changes(a.stored[k], known.State); changes != "" {
				fmt.Fprintf(a, "  %v: %s\n", k.network, changes)
			}
			a.stored[k] = known.State
		}
	}
}

// changes returns the fields that differ, but for the key and the time.
func changes(before, after State) string {
	was, is := reflect.ValueOf(before), reflect.ValueOf(after)
	var all []string
	for i, field := range reflect.VisibleFields(is.Type()) {
		switch field.Name {
		case "Network", "Fingerprint", "Seen":
			continue
		}
		if v := is.Field(i).Interface(); !reflect.DeepEqual(was.Field(i).Interface(), v) {
			all = append(all, field.Name+" "+brief(v))
		}
	}
	return strings.Join(all, ", ")
}

// brief writes the value of a field.
func brief(v any) string {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return "none"
		}
		return v.Format("2 15:04")
	case json.Marshaler: // by mode
		text, _ := v.MarshalJSON()
		return string(text)
	case []Closer:
		all := make([]string, len(v))
		for i, c := range v {
			all[i] = fmt.Sprintf("%v %s %s, %d", c.Addr, brief(c.At), ends[c.Outcome], c.Penalty)
		}
		return "[" + strings.Join(all, "; ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// ends has short words for the outcomes of closers.
var ends = map[handshake.Outcome]string{
	handshake.ClosedAfterFlight: "flight", handshake.ClosedAfterTicket: "ticket", handshake.ClosedAfterReply: "reply",
}

var accounts = []struct {
	name    string
	initial sessionticket.Mode
	story   func(*account)
}{
	{"A client fails over an early ticket, and later does not.", stock, func(a *account) {
		a.connect(earlyTicket, "192.0.2.7", 2)
		a.now = a.now.Add(6 * time.Hour)
		a.connect(earlyTicket, "192.0.2.7", 2)
		a.now = a.now.Add(12 * time.Hour)
		a.connect(healthy, "192.0.2.7", 2)
		a.connect(earlyTicket, "192.0.2.7", 1)
	}},
	{"A client needs TLS 1.2, and later nothing does.", ownWrite, func(a *account) {
		a.connect(intolerant13, "192.0.2.7", 6)
		a.connect(alwaysFails, "192.0.2.7", 3)
		a.connect(healthy, "192.0.2.7", 1)
	}},
	{"TLS 1.2 helps once, and then does not.", ownWrite, func(a *account) {
		a.connect(intolerant13, "192.0.2.7", 4)
		a.connect(alwaysFails, "192.0.2.7", 1)
	}},
	{"No mode helps a client.", firstWrite, func(a *account) {
		a.connect(alwaysFails, "192.0.2.7", 7)
		a.now = a.now.Add(12 * time.Hour)
		a.connect(alwaysFails, "192.0.2.7", 2)
	}},
	{"A client takes the ticket for an error.", ownWrite, func(a *account) {
		a.connect(surprised, "192.0.2.7", 4)
	}},
	{"A mode that worked fails three times.", stock, func(a *account) {
		a.connect(healthy, "192.0.2.7", 2)
		a.connect(earlyTicket, "192.0.2.7", 4)
	}},
	{"A mode that worked fails three times, and the remedy has to help first.", ownWrite, func(a *account) {
		a.connect(healthy, "192.0.2.7", 2)
		a.connect(refusesTickets, "192.0.2.7", 5)
	}},
	{"Nine hosts of a network close.", ownWrite, func(a *account) {
		for i := range 9 {
			a.connect(alwaysFails, fmt.Sprintf("192.0.2.%d", i+1), 1)
		}
		a.connect(healthy, "192.0.2.9", 1)
	}},
	{"A fingerprint fails in three networks, and a new sender of it answers the safer mode with alerts.", stock, func(a *account) {
		for _, addr := range []string{"192.0.2.7", "198.51.100.7", "2001:db8::7"} {
			a.connect(earlyTicket, addr, 2)
		}
		a.connect(client{stock: handshake.Worked}, "203.0.113.7", 3)
	}},
	{"The address of a client is unknown.", stock, func(a *account) {
		a.connect(earlyTicket, "unknown", 2)
	}},
	{"An operator pins a network.", stock, func(a *account) {
		a.SetPins(nil, a.now)
		a.decided(a.SetPins([]Pin{pin("192.0.2.0/24", tls12)}, a.now))
		a.connect(healthy, "192.0.2.7", 1)
		a.decided(a.SetPins(nil, a.now))
	}},
	{"A sender comes back after months.", stock, func(a *account) {
		a.connect(earlyTicket, "192.0.2.7", 2)
		a.now = a.now.Add(31 * day)
		a.connect(earlyTicket, "192.0.2.7", 1)
	}},
	{"Another host knows of a sender.", stock, func(a *account) {
		other := hosts(2, stock)[1]
		for range 2 {
			earlyTicket.connect(other, from("192.0.2.7", "a"), a.now)
			a.decided(a.Adopt(other.News(10), a.now))
		}
		a.now = a.now.Add(6 * time.Hour)
		a.connect(healthy, "192.0.2.7", 2)
		decisions := other.Adopt(a.News(10), a.now)
		a.decided(decisions)
	}},
}

// A person can judge whether each line is right: testdata/accounts.txt.
func TestAccounts(t *testing.T) {
	var all strings.Builder
	for _, account := range accounts {
		all.WriteString(tell(account.name, account.initial, account.story))
	}
	path := filepath.Join("testdata", "accounts.txt")
	if *update {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(all.String(), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(got), len(wanted)) {
		if got[i] != wanted[i] {
			t.Fatalf("%s:%d: the account is\n%s\nwant\n%s", path, i+1, got[i], wanted[i])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d lines, want %d", len(got), len(wanted))
	}
}

func tell(name string, initial sessionticket.Mode, story func(*account)) string {
	a := &account{Selector: New(initial), now: epoch, stored: make(map[key]State)}
	a.Share("mx0")
	fmt.Fprintf(a, "# %s The initial mode is %v.\n", name, initial)
	story(a)
	return a.String() + "\n"
}
