package probe

import (
	"strings"
	"testing"
)

// What servers say to a client that comes from 127.0.0.1, as seen in November 2026;
// of those that were not at hand, what their documentation shows.
var manners = []struct {
	name, greeting, ehlo string
	want                 string
}{
	{"mox v0.0.12", "220 localhost ESMTP mox v0.0.12", "localhost|PIPELINING|SIZE 104857600|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|LIMITS RCPTMAX=1000|SMTPUTF8", "mox v0.0.12, certain 0.95"},
	{"mox v0.0.17", "220 localhost ESMTP mox", "localhost|PIPELINING|SIZE 104857600|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|LIMITS RCPTMAX=1000|SMTPUTF8", "mox, certain 0.95"},
	{"maddy v0.8.1", "220 backend.test ESMTP Service Ready", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SMTPUTF8|SIZE 33554432|LIMITS RCPTMAX=20000", "maddy, likely 0.70"},
	{"go-smtp", "220 localhost ESMTP Service Ready", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SIZE", "go-smtp, certain 0.95"},
	{"go-smtp, renamed", "220 mail", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SIZE", "go-smtp, possible 0.40"},
	{"chasquid 1.11", "220 backend.test ESMTP chasquid", "backend.test - Your hour of destiny has come.|8BITMIME|PIPELINING|STARTTLS|HELP", "chasquid, certain 0.95"},
	{"Postfix 3.7", "220 backend.test ESMTP Postfix (Debian/GNU)", "backend.test|PIPELINING|SIZE 10240000|VRFY|ETRN|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|CHUNKING", "Postfix, certain 0.95"},
	{"Postfix, renamed", "220 mail ready", "backend.test|PIPELINING|SIZE 10240000|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|CHUNKING", "Postfix, likely 0.70"},
	{"Exim 4.96", "220 mx.test ESMTP Exim 4.96 Tue, 24 Nov 2026 16:00:00 +0000", "mx.test Hello localhost [127.0.0.1]|SIZE 52428800|8BITMIME|PIPELINING|STARTTLS|HELP", "Exim 4.96, certain 0.95"},
	{"OpenSMTPD", "220 mx.test ESMTP OpenSMTPD", "mx.test Hello x [127.0.0.1], pleased to meet you|8BITMIME|STARTTLS", "OpenSMTPD, certain 0.95"},
	{"Stalwart", "220 mx.test Stalwart ESMTP at your service", "mx.test you had me at EHLO|STARTTLS", "Stalwart, certain 0.95"},
	{"Exchange", "220 MX.test Microsoft ESMTP MAIL Service ready at Tue, 24 Nov 2026 16:00:00 +0000", "MX.test Hello [127.0.0.1]|SIZE 157286400|PIPELINING|STARTTLS", "Exchange, certain 0.95"},
	{"nginx", "220 front.test ESMTP ready", "front.test|STARTTLS", "nginx, likely 0.70"},
	{"Postern", "220 mx.test ESMTP Postern JM5J7MHXEH", "mx.test|PIPELINING|SIZE 52428800|STARTTLS", "Postern, certain 0.95"},
	{"stranger", "220 mx.test", "mx.test|STARTTLS", "not recognised, possible 0.00"},
	{"nobody", "", "", "not recognised, possible 0.00"},
}

func TestSoftwareIsRecognised(t *testing.T) {
	for _, m := range manners {
		got := recognise([]string{m.greeting}, withCodes(m.ehlo))
		if said := got.String() + ", " + got.Confidence.String(); said != m.want {
			t.Errorf("%s: %s, want %s", m.name, said, m.want)
		}
		if got.Name != "" && len(got.Clues) == 0 {
			t.Errorf("%s: recognised without a clue", m.name)
		}
	}
}

func withCodes(text string) []string {
	lines := strings.Split(text, "|")
	for i := range lines {
		lines[i] = "250-" + lines[i]
	}
	return lines
}
