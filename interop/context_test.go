package interop_test

import (
	"crypto/tls"
	"slices"
	"testing"

	"postern/handshake"
	"postern/interop"
)

const selfSigned = "self-signed"

// A client that verifies and closes without an alert looks like one that does not survive an
// early ticket. What the same sender does next tells them apart.
func TestOtherHandshakesOfTheSenderTellASilentCloseApart(t *testing.T) {
	all := goldens(t)
	early := all["early-ticket"].transcript
	late := clone(early)
	without(handshake.Server, handshake.TypeNewSessionTicket)(late)
	old := clone(late)
	old.ServerHello.Version = tls.VersionTLS12
	worked := func(version handshake.Version, ticket, early bool) interop.Attempt {
		return interop.Attempt{Outcome: handshake.Worked, Version: version, Ticket: ticket, EarlyTicket: early}
	}
	for name, test := range map[string]struct {
		of      *handshake.Transcript
		flaw    string
		others  []interop.Attempt
		want    []string
		surest  string
		unacked bool
	}{
		"one early ticket":                   {of: early, want: []string{"early-ticket", "certificate-refused"}, surest: "likely"},
		"and the certificate is self-signed": {of: early, flaw: selfSigned, want: []string{"early-ticket", "certificate-refused"}, surest: "possible"},
		"it works without":                   {of: early, others: []interop.Attempt{worked(tls.VersionTLS13, true, false)}, want: []string{"early-ticket"}, surest: "almost certain"},
		"though the certificate is":          {of: early, flaw: selfSigned, others: []interop.Attempt{worked(tls.VersionTLS13, true, false)}, want: []string{"early-ticket"}, surest: "almost certain"},
		"it works with another early ticket": {of: early, others: []interop.Attempt{worked(tls.VersionTLS13, true, true)}},
		"it closes without an early ticket":  {of: early, others: []interop.Attempt{interop.AttemptOf(late)}, want: []string{"certificate-refused"}, surest: "possible"},
		"the same, self-signed":              {of: early, flaw: selfSigned, others: []interop.Attempt{interop.AttemptOf(late)}, want: []string{"certificate-refused"}, surest: "likely"},
		"a late ticket":                      {of: late},
		"a late ticket, self-signed":         {of: late, flaw: selfSigned, want: []string{"certificate-refused"}, surest: "possible"},
		"a late ticket after an early one":   {of: late, flaw: selfSigned, others: []interop.Attempt{interop.AttemptOf(early)}, want: []string{"certificate-refused"}, surest: "likely"},
		"and TLS 1.2 as well":                {of: old, flaw: selfSigned, others: []interop.Attempt{interop.AttemptOf(late)}, want: []string{"certificate-refused"}, surest: "likely"},
		"TLS 1.2 helps":                      {of: late, flaw: selfSigned, others: []interop.Attempt{worked(tls.VersionTLS12, false, false)}},
		"the flight was never acknowledged":  {of: late, flaw: selfSigned, unacked: true},
	} {
		transcript := clone(test.of)
		if test.unacked {
			transcript.Acknowledged = handshake.AckNone
		}
		found, failed := interop.Context{CertificateFlaw: test.flaw, Others: test.others}.Diagnose(transcript)
		found = slices.DeleteFunc(found, func(d interop.Diagnosis) bool { return d.Case.ID == "flight-did-not-arrive" })
		if got := ids(found); !slices.Equal(got, test.want) || !failed {
			t.Errorf("%s: %q, failed %v, want %q", name, got, failed, test.want)
		} else if len(found) > 0 && found[0].Confidence.String() != test.surest {
			t.Errorf("%s: %v, want %s", name, found[0].Confidence, test.surest)
		}
		checkObservations(t, name, transcript, found)
	}
}

// Monitors complete a handshake and leave in the same ways as some senders.
func TestACompleteHandshakeHasFailedOnlyWithProof(t *testing.T) {
	all := goldens(t)
	mail := interop.Attempt{Outcome: handshake.Worked, Version: tls.VersionTLS13}
	withTicket := interop.Attempt{Outcome: handshake.Worked, Version: tls.VersionTLS13, Ticket: true}
	for _, test := range []struct {
		name   string
		others []interop.Attempt
		want   []string
		failed bool
	}{
		{"ticket-after-finished", nil, []string{"ticket-after-finished"}, false},
		{"ticket-after-finished", []interop.Attempt{mail}, []string{"ticket-after-finished"}, true},
		{"ticket-after-finished", []interop.Attempt{withTicket}, nil, false},
		{"ticket-surprises-client", nil, nil, false},
		{"ticket-surprises-client", []interop.Attempt{mail}, []string{"ticket-surprises-client"}, true},
		{"ticket-surprises-client", []interop.Attempt{mail, withTicket}, nil, false},
		{"leaves-after-handshake", nil, []string{"leaves-after-handshake"}, false},
	} {
		found, failed := interop.Context{Others: test.others}.Diagnose(all[test.name].transcript)
		if got := ids(found); !slices.Equal(got, test.want) || failed != test.failed {
			t.Errorf("%s, others %+v: %q, failed %v, want %q, %v", test.name, test.others, got, failed, test.want, test.failed)
		}
	}
	resumed := clone(all["leaves-after-handshake"].transcript)
	resumed.ServerHello.Resumed = true
	if found, failed := interop.Diagnose(resumed); len(found) > 0 || failed {
		t.Errorf("one that resumes has accepted the certificate: %q, failed %v", ids(found), failed)
	}
}
