package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/handshake"
	"postern/interop"
)

// expected returns what a file's name says: the case before the first dot, or none.
func expected(name string) string {
	first, _, _ := strings.Cut(name, ".")
	switch first {
	case "healthy":
		return expectNone
	case "unknown":
		return expectUnknown
	}
	return first
}

// diagnose returns the diagnoses without those that are only less likely alternatives.
func diagnose(t *handshake.Transcript) []interop.Diagnosis {
	found, _ := interop.Diagnose(t)
	return likelier(found)
}

func likelier(found []interop.Diagnosis) []interop.Diagnosis {
	return slices.DeleteFunc(found, func(d interop.Diagnosis) bool { return d.Confidence == interop.LessLikely })
}

// diagnoseAs is diagnose for a transcript of that name, in the context that its case needs.
func diagnoseAs(name string, t *handshake.Transcript) []interop.Diagnosis {
	if expected(name) != "ticket-surprises-client" {
		return diagnose(t)
	}
	found, _ := interop.Context{Others: []interop.Attempt{interop.AttemptOf(t)}}.Diagnose(t)
	return likelier(found)
}

func failed(t *handshake.Transcript) bool {
	_, failed := interop.Diagnose(t)
	return failed
}

func ids(found []interop.Diagnosis) []string {
	var all []string
	for _, d := range found {
		all = append(all, d.Case.ID)
	}
	return all
}

// Every transcript is compared with every case.
func TestEachTranscriptMatchesItsCaseOnly(t *testing.T) {
	for name, g := range goldens(t) {
		want := []string{g.Expect}
		if g.Expect == expectNone || g.Expect == expectUnknown {
			want = nil
		}
		if g.Expect != expected(name) {
			t.Errorf("%s expects %s, which is not in its name", name, g.Expect)
		}
		found := diagnoseAs(name, g.transcript)
		if got := ids(found); !slices.Equal(got, want) {
			t.Errorf("%s: diagnosed as %q, want %q\n%s", name, got, want, g.transcript.Diagram(handshake.DiagramOptions{}))
		}
		if got, want := failed(g.transcript), g.Expect != expectNone && !g.transcript.Completed; got != want {
			t.Errorf("%s: Failed is %v, want %v", name, got, want)
		}
		checkObservations(t, name, g.transcript, found)
	}
}

func checkObservations(t *testing.T, name string, transcript *handshake.Transcript, found []interop.Diagnosis) {
	t.Helper()
	for _, d := range found {
		if len(d.Observations) == 0 || d.Confidence <= 0 || d.Confidence > 1 {
			t.Errorf("%s: %s with confidence %v and %d observations", name, d.Case.ID, d.Confidence, len(d.Observations))
		}
		for _, o := range d.Observations {
			if o.Message < -1 || o.Message >= len(transcript.Messages) || o.Text == "" {
				t.Errorf("%s: %s observes %q at message %d of %d", name, d.Case.ID, o.Text, o.Message, len(transcript.Messages))
			}
		}
	}
}

func TestEveryCaseHasFileTranscriptAndPage(t *testing.T) {
	recorded := make(map[string]int)
	for _, g := range goldens(t) {
		recorded[g.Expect]++
	}
	if n := recorded[expectNone]; n < 12 {
		t.Errorf("%d healthy transcripts, want 12 or more", n)
	}
	for _, c := range interop.Cases() {
		if recorded[c.ID] == 0 {
			t.Errorf("%s has no transcript", c.ID)
		}
		for _, file := range []string{
			strings.ReplaceAll(c.ID, "-", "_") + ".go",
			filepath.Join("../docs/cases", c.ID+".md"),
			path(c.ID),
		} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		}
	}
}

// spoils each remove a part of the evidence from the named transcript.
var spoils = map[string]map[string]func(*handshake.Transcript){
	"early-ticket": {
		"the server gave up":       func(t *handshake.Transcript) { t.End.Kind = handshake.EndTimeout },
		"an alert":                 func(t *handshake.Transcript) { t.End.Kind = handshake.EndAlert },
		"no ticket":                without(handshake.Server, handshake.TypeNewSessionTicket),
		"the client's Finished":    with(handshake.Client, handshake.TypeFinished),
		"complete":                 func(t *handshake.Transcript) { t.Completed = true },
		"TLS 1.2":                  func(t *handshake.Transcript) { t.ServerHello.Version = 0x0303 },
		"mail came, whatever else": func(t *handshake.Transcript) { t.Use = handshake.UseMail },
	},
	"ticket-after-finished": {
		"close_notify":   with(handshake.Client, handshake.TypeAlert),
		"no ticket":      without(handshake.Server, handshake.TypeNewSessionTicket),
		"a command came": func(t *handshake.Transcript) { t.Use = handshake.UseData },
		"a large ticket": func(t *handshake.Transcript) { size(t, handshake.TypeNewSessionTicket, 4000) },
	},
	"ticket-surprises-client": {
		"close_notify": with(handshake.Client, handshake.TypeAlert),
		"QUIT":         func(t *handshake.Transcript) { size(t, handshake.TypeApplicationData, 6) },
		"the server closed": func(t *handshake.Transcript) {
			t.End.By = handshake.Server
		},
	},
	"large-ticket": {
		"a usual ticket": func(t *handshake.Transcript) { size(t, handshake.TypeNewSessionTicket, 200) },
	},
	"schannel-tls12-ticket": {
		"no ticket": without(handshake.Server, handshake.TypeNewSessionTicket),
		"resumed":   func(t *handshake.Transcript) { t.ServerHello.Resumed = true },
	},
	"cached-session-alert": {
		"no session offered":     func(t *handshake.Transcript) { t.ClientHello.TicketTLS12, t.ClientHello.SessionID = false, false },
		"about the certificate":  func(t *handshake.Transcript) { alertWith(t, 42) },
		"the client only closed": func(t *handshake.Transcript) { t.End.Kind = handshake.EndClosed },
		"no ServerHello":         func(t *handshake.Transcript) { t.ServerHello = nil },
	},
	"every-other-connection": {
		"no session offered": func(t *handshake.Transcript) { t.ClientHello.PSK = false },
		"the client closed":  func(t *handshake.Transcript) { t.End.By = handshake.Client },
		"answered":           with(handshake.Server, handshake.TypeServerHello),
		"old suites only":    func(t *handshake.Transcript) { t.ClientHello.Suites = []handshake.Suite{0x000a} },
	},
	"tls10-only":           {"TLS 1.2": func(t *handshake.Transcript) { t.ClientHello.Version, t.ClientHello.Versions = 0x0303, nil }},
	"no-shared-suite":      {"a usual suite": func(t *handshake.Transcript) { t.ClientHello.Suites = append(t.ClientHello.Suites, 0xc02b) }},
	"rsa-only-client":      {"a suite for ECDSA": func(t *handshake.Transcript) { t.ClientHello.Suites = append(t.ClientHello.Suites, 0xc02b) }},
	"sha1-signatures-only": {"SHA-256 too": func(t *handshake.Transcript) { t.ClientHello.Signatures = append(t.ClientHello.Signatures, 0x0403) }},
	"group-mismatch":       {"X25519 too": func(t *handshake.Transcript) { t.ClientHello.Groups = append(t.ClientHello.Groups, 29) }},
	"hello-retry-refused": {
		"answered": with(handshake.Client, handshake.TypeClientHello),
		"the server gave up": func(t *handshake.Transcript) {
			t.End.Kind = handshake.EndTimeout
		},
	},
	"flight-did-not-arrive": {
		"all acknowledged": func(t *handshake.Transcript) { t.Acknowledged = handshake.AckAll },
		"not known":        func(t *handshake.Transcript) { t.Acknowledged = handshake.AckUnknown },
		"answered":         func(t *handshake.Transcript) { with(handshake.Client, handshake.TypeFinished)(t); t.End.After++ },
		"an alert":         func(t *handshake.Transcript) { with(handshake.Client, handshake.TypeAlert)(t); t.End.After++ },
		"closed at once":   func(t *handshake.Transcript) { t.End.Kind, t.End.At = handshake.EndClosed, t.Messages[1].At },
		"closed before it": func(t *handshake.Transcript) { t.End.After = 1 },
	},
	"big-hello":              {"a whole hello": func(t *handshake.Transcript) { t.ClientHello = new(handshake.ClientHello) }},
	"sslv2-hello":            {"another type": func(t *handshake.Transcript) { t.NotTLS[2] = 4 }, "cut off": func(t *handshake.Transcript) { t.NotTLS = t.NotTLS[:4] }},
	"certificate-refused":    {"another alert": func(t *handshake.Transcript) { alertWith(t, 40) }, "by the server": func(t *handshake.Transcript) { t.End.By = handshake.Server }},
	"leaves-after-handshake": {"EHLO": func(t *handshake.Transcript) { size(t, handshake.TypeApplicationData, 20) }},
	"leaves-after-handshake.silent": {
		"close_notify": with(handshake.Client, handshake.TypeAlert),
		"incomplete":   func(t *handshake.Transcript) { t.Completed = false },
	},
	"unknown-sni": {
		"no name":    func(t *handshake.Transcript) { t.ClientHello.ServerName = "" },
		"by another": func(t *handshake.Transcript) { t.End.By = handshake.Client },
	},
	"client-certificate-asked": {"not asked": without(handshake.Server, handshake.TypeCertificateRequest)},
	"inspected-by-firewall":    {"one letter": func(t *handshake.Transcript) { t.NotTLS = []byte("X-Y") }},
	"tls-without-starttls": {
		"another text":       func(t *handshake.Transcript) { t.NotTLS = []byte("554 5.5.0 Error ") },
		"no ClientHello":     without(handshake.Client, handshake.TypeClientHello),
		"the server did TLS": with(handshake.Server, handshake.TypeServerHello),
	},
	"plaintext-after-starttls": {"only QUIT": func(t *handshake.Transcript) { t.NotTLS = []byte("QUIT\r\n") }},
}

// A case that lacks a part of its evidence does not match.
func TestEachPartOfTheEvidenceCounts(t *testing.T) {
	all := goldens(t)
	for name, list := range spoils {
		for what, spoil := range list {
			transcript := clone(all[name].transcript)
			spoil(transcript)
			if got := ids(diagnoseAs(name, transcript)); slices.Contains(got, expected(name)) {
				t.Errorf("%s, but %s: still diagnosed", name, what)
			}
		}
	}
}

// The ticket is to blame only if the client can have received it. A reset is weaker
// evidence than a silent close, and nothing known is weaker than an acknowledgement.
func TestEarlyTicketNeedsThatTheClientReceivedIt(t *testing.T) {
	for _, c := range []struct {
		end   handshake.EndKind
		acked handshake.Acknowledged
		want  string
	}{
		{handshake.EndClosed, handshake.AckAll, "early-ticket likely"},
		{handshake.EndClosed, handshake.AckUnknown, "early-ticket likely"},
		{handshake.EndReset, handshake.AckAll, "early-ticket likely"},
		{handshake.EndReset, handshake.AckUnknown, "early-ticket possible"},
		{handshake.EndClosed, handshake.AckPart, ""},
		{handshake.EndClosed, handshake.AckNone, ""},
	} {
		transcript := clone(goldens(t)["early-ticket"].transcript)
		transcript.End.Kind, transcript.Acknowledged = c.end, c.acked
		got := ""
		for _, d := range diagnose(transcript) {
			got += d.Case.ID + " " + d.Confidence.String()
		}
		if got != c.want {
			t.Errorf("%v, acknowledged %v: %q, want %q", c.end, c.acked, got, c.want)
		}
		transcript.End.After = 1
		if got := ids(diagnose(transcript)); got != nil {
			t.Errorf("%v before the flight: %q", c.end, got)
		}
	}
}

// After a HelloRetryRequest, and in TLS 1.2, the server sends more than one flight.
func TestLaterFlightThatDidNotArrive(t *testing.T) {
	first := goldens(t)["flight-did-not-arrive"].transcript
	for name, between := range map[string][]handshake.Message{
		"retried": {{From: handshake.Server, Type: handshake.TypeHelloRetryRequest}, {From: handshake.Client, Type: handshake.TypeClientHello}},
		"TLS 1.2": {{From: handshake.Server, Type: handshake.TypeServerHelloDone}, {From: handshake.Client, Type: handshake.TypeFinished}},
	} {
		transcript := clone(first)
		transcript.Messages = slices.Concat(first.Messages[:1], between, first.Messages[1:])
		transcript.End.After += len(between)
		if got := ids(diagnose(transcript)); !slices.Contains(got, "flight-did-not-arrive") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A close long after a flight that was not acknowledged is the end of a client's patience.
func TestLostFlightIsDistinguishedFromALeavingClient(t *testing.T) {
	for _, c := range []struct {
		end    handshake.End
		acked  handshake.Acknowledged
		waited time.Duration
		want   string
	}{
		{handshake.End{Kind: handshake.EndTimeout, By: handshake.Client}, handshake.AckNone, 200 * time.Millisecond, "almost certain"},
		{handshake.End{Kind: handshake.EndTimeout, By: handshake.Client}, handshake.AckPart, 200 * time.Millisecond, "likely"},
		{handshake.End{Kind: handshake.EndClosed, By: handshake.Client}, handshake.AckNone, 10 * time.Second, "likely"},
		{handshake.End{Kind: handshake.EndReset, By: handshake.Client}, handshake.AckPart, 10 * time.Second, "likely"},
		{handshake.End{Kind: handshake.EndClosed, By: handshake.Server}, handshake.AckNone, 10 * time.Second, "likely"},
		{handshake.End{}, handshake.AckNone, 10 * time.Second, "likely"},
		{handshake.End{}, handshake.AckNone, time.Second, ""},
		{handshake.End{Kind: handshake.EndClosed, By: handshake.Client}, handshake.AckNone, 40 * time.Millisecond, ""},
		{handshake.End{Kind: handshake.EndClosed, By: handshake.Server}, handshake.AckNone, 40 * time.Millisecond, ""},
	} {
		transcript := clone(goldens(t)["flight-did-not-arrive"].transcript)
		last := transcript.Messages[len(transcript.Messages)-1]
		c.end.After, c.end.At = len(transcript.Messages), last.At+c.waited
		transcript.End, transcript.Acknowledged = c.end, c.acked
		got := ""
		for _, d := range diagnose(transcript) {
			got += d.Confidence.String()
		}
		if got != c.want {
			t.Errorf("%+v, acknowledged %v: %q, want %q", c.end, c.acked, got, c.want)
		}
	}
}

// If crypto/tls resumes nothing and the alert is encrypted, no case matches.
func TestEncryptedAlertMatchesNoCase(t *testing.T) {
	transcript := clone(goldens(t)["certificate-refused"].transcript)
	for i := range transcript.Messages {
		transcript.Messages[i].Alert = nil
	}
	if got := ids(diagnose(transcript)); got != nil || !failed(transcript) {
		t.Errorf("diagnosed as %q", got)
	}
}

// A browser that leaves a finished connection is no mail sender that failed. If its
// handshake does not complete, that is a failure like another.
func TestBrowserThatLeavesHasNotFailed(t *testing.T) {
	for name, g := range goldens(t) {
		if g.transcript.ClientHello == nil || g.Expect == expectNone {
			continue
		}
		browser := clone(g.transcript)
		browser.ClientHello.ALPN = []string{"h2", "http/1.1"}
		found := diagnoseAs(name, browser)
		if browser.Completed != (len(found) == 0) && g.Expect != expectUnknown {
			t.Errorf("%s, by a browser: diagnosed as %q", name, ids(found))
		}
	}
}

// A recording that has not ended is not a failure.
func TestOpenRecordingHasNotFailed(t *testing.T) {
	if failed(&handshake.Transcript{Messages: []handshake.Message{{From: handshake.Client, Type: handshake.TypeClientHello}}}) {
		t.Error("failed")
	}
}

func clone(t *handshake.Transcript) *handshake.Transcript {
	c := *t
	c.Messages = slices.Clone(t.Messages)
	c.NotTLS = slices.Clone(t.NotTLS)
	if t.ClientHello != nil {
		hello := *t.ClientHello
		c.ClientHello = &hello
	}
	if t.ServerHello != nil {
		choice := *t.ServerHello
		c.ServerHello = &choice
	}
	return &c
}

func with(from handshake.Side, kind handshake.MessageType) func(*handshake.Transcript) {
	return func(t *handshake.Transcript) {
		t.Messages = append(t.Messages, handshake.Message{From: from, Type: kind})
	}
}

func without(from handshake.Side, kind handshake.MessageType) func(*handshake.Transcript) {
	return func(t *handshake.Transcript) {
		t.Messages = slices.DeleteFunc(t.Messages, func(m handshake.Message) bool { return m.From == from && m.Type == kind })
	}
}

func size(t *handshake.Transcript, kind handshake.MessageType, n int) {
	for i := range t.Messages {
		if t.Messages[i].Type == kind {
			t.Messages[i].Size = n
		}
	}
}

func alertWith(t *handshake.Transcript, description handshake.AlertDescription) {
	for i := range t.Messages {
		if t.Messages[i].Type == handshake.TypeAlert {
			t.Messages[i].Alert = &handshake.Alert{Fatal: true, Description: description}
		}
	}
}
