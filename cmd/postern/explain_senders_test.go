package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/terminal"
	"postern/interop"
)

// closing returns a connection of a host whose client closes after the server's flight, with an
// early ticket in it or without.
func closing(t *testing.T, host string, early bool) explained {
	t.Helper()
	recorded, err := os.ReadFile("../../handshake/testdata/early-ticket.json")
	if err != nil {
		t.Fatal(err)
	}
	transcript, err := handshake.Parse(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if !early {
		transcript.Messages = slices.DeleteFunc(transcript.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
		transcript.End.After = len(transcript.Messages)
	}
	c := &capture.Conversation{Client: netip.AddrPortFrom(netip.MustParseAddr(host), 40_000), EHLO: "app.example", Transcript: transcript}
	return explain(c, transcript, interop.Context{})
}

// What a sender does in one connection of a capture is evidence about its others, before and
// after it.
func TestExplainComparesTheConnectionsOfASender(t *testing.T) {
	for _, order := range [][]bool{{true, false}, {false, true}} {
		var out bytes.Buffer
		o := &explainOutput{ui: terminal.UI{Out: &out, Err: &out}}
		for _, early := range order {
			if err := o.add(closing(t, "192.0.2.7", early)); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.add(closing(t, "192.0.2.8", true)); err != nil { // another host
			t.Fatal(err)
		}
		if got := fmt.Sprint(o.byCase); got != "map[certificate-refused:2 early-ticket:1]" || o.counts[failedKnown] != 3 {
			t.Errorf("early tickets %v: %s, %v", order, got, o.counts)
		}
		o.print()
		if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, "certificate-refused 2, early-ticket 1") || strings.Count(text, "closed at the same point of a handshake in another mode") != 2 {
			t.Errorf("early tickets %v:\n%s", order, text)
		}
	}
}

func TestExplainBoundsTheSendersOfACapture(t *testing.T) {
	o := &explainOutput{ui: terminal.UI{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}}
	for range 3 * maxSenderAttempts {
		o.add(closing(t, "192.0.2.7", true))
	}
	for s, attempts := range o.senders {
		if len(attempts) != maxSenderAttempts {
			t.Errorf("%d attempts of %v", len(attempts), s)
		}
	}
}
