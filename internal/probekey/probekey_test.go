package probekey

import (
	"strings"
	"testing"
)

const session = "A7ZAR5IBIH"

func TestServerRecognisesItsProbe(t *testing.T) {
	key := New()
	name := key.EHLO("early-ticket", session)
	if client, ok := key.Verify(name, session); !ok || client != "early-ticket.probe.invalid" {
		t.Errorf("%q is %q, %v", name, client, ok)
	}
	if again, err := Parse(key.Text()); err != nil || again.EHLO("early-ticket", session) != name {
		t.Errorf("%v: the key in its file is another one", err)
	}
}

// A name is a valid EHLO argument: labels of at most 63 characters (RFC 1035, Section 2.3.4).
func TestNameIsADomain(t *testing.T) {
	name := New().EHLO("ticket-without-psk-modes", session)
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q has the label %q", name, label)
		}
	}
}

// Whoever has no key cannot make a name, nor use one that they saw.
func TestOthersAreNoProbes(t *testing.T) {
	key := New()
	name := key.EHLO("early-ticket", session)
	token := strings.Split(name, ".")[1]
	for why, tt := range map[string]struct {
		key           Key
		name, session string
	}{
		"another session":     {key, name, "B7ZAR5IBIH"},
		"another client":      {key, "healthy-go." + token + ".probe.invalid", session},
		"another key":         {New(), name, session},
		"a server without":    {Key{}, Key{}.EHLO("early-ticket", session), session},
		"without a token":     {key, "early-ticket.probe.invalid", session},
		"an empty token":      {key, "early-ticket..probe.invalid", session},
		"part of a token":     {key, "early-ticket." + token[:8] + ".probe.invalid", session},
		"below another label": {key, "x." + name, session},
		"another domain":      {key, "early-ticket." + token + ".probe.example", session},
		"the domain":          {key, "probe.invalid", session},
		"nothing":             {key, "", session},
	} {
		if client, ok := tt.key.Verify(tt.name, tt.session); ok {
			t.Errorf("%s: %q is %q", why, tt.name, client)
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	for _, text := range []string{"", "\n", "ABCDEFGH", string(New().Text()) + string(New().Text()), strings.Repeat("1", 52), string(New().Text()[:50])} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
}

// Of other servers' greetings no token is made.
func TestSessionIsInOurGreetingOnly(t *testing.T) {
	if got, ok := Session("220 " + Greeting("mx.test", session)); !ok || got != session {
		t.Errorf("the session is %q, %v", got, ok)
	}
	for _, line := range []string{"", "220 mx.test ESMTP Postfix", "220 mx.test ESMTP Postern", "220 mx.test ESMTP Postern a7zar5ibih", "220 mx.test ESMTP Postern A7ZAR5IBIHX", "220 mx.test ESMTP Postern A7ZAR5IBIH more"} {
		if got, ok := Session(line); ok {
			t.Errorf("%q has the session %q", line, got)
		}
	}
}

func TestWelcome(t *testing.T) {
	if !Welcomed([]string{"250-" + Welcome("mx.test", "[192.0.2.7]"), "250 PIPELINING"}) {
		t.Error("a recognised probe does not see it")
	}
	if Welcomed(nil) || Welcomed([]string{"250-mx.test greets [192.0.2.7]"}) {
		t.Error("a sender is taken for a probe")
	}
}

func FuzzVerify(f *testing.F) {
	key := New()
	f.Add(key.EHLO("healthy-go", session))
	f.Add("healthy-go.aaaaaaaaaaaaaaaaaaaaaaaaaa.probe.invalid")
	f.Add("..probe.invalid")
	f.Fuzz(func(t *testing.T, name string) {
		client, ok := key.Verify(name, "C7ZAR5IBIH")
		if label, _, _ := strings.Cut(client, "."); ok && name != key.EHLO(label, "C7ZAR5IBIH") {
			t.Errorf("%q is %q", name, client)
		}
	})
}
