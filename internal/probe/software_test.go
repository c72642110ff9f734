package probe

import (
	"fmt"
	"strings"
	"testing"
)

// What servers send to a client at 127.0.0.1, measured in November 2026. Of Stalwart and
// Exchange, which were not available, it is what the sources of their signatures show: the
// default greeting, the source of the reply to EHLO, and a session.
var samples = []struct {
	name, greeting, ehlo string
	want                 string
}{
	{"mox v0.0.12", "220 localhost ESMTP mox v0.0.12", "localhost|PIPELINING|SIZE 104857600|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|LIMITS RCPTMAX=1000|SMTPUTF8", "mox v0.0.12, almost certain 0.95"},
	{"mox v0.0.17", "220 localhost ESMTP mox", "localhost|PIPELINING|SIZE 104857600|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|LIMITS RCPTMAX=1000|SMTPUTF8", "mox, almost certain 0.95"},
	{"maddy v0.8.1", "220 backend.test ESMTP Service Ready", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SMTPUTF8|SIZE 33554432|LIMITS RCPTMAX=20000", "maddy, likely 0.70"},
	{"go-smtp", "220 localhost ESMTP Service Ready", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SIZE", "go-smtp, almost certain 0.95"},
	{"go-smtp, renamed", "220 mail", "Hello [127.0.0.1]|PIPELINING|8BITMIME|ENHANCEDSTATUSCODES|CHUNKING|STARTTLS|SIZE", "go-smtp, possible 0.40"},
	{"chasquid 1.11", "220 backend.test ESMTP chasquid", "backend.test - Your hour of destiny has come.|8BITMIME|PIPELINING|STARTTLS|HELP", "chasquid, almost certain 0.95"},
	{"Postfix 3.7", "220 backend.test ESMTP Postfix (Debian/GNU)", "backend.test|PIPELINING|SIZE 10240000|VRFY|ETRN|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|CHUNKING", "Postfix, almost certain 0.95"},
	{"Postfix, renamed", "220 mail ready", "backend.test|PIPELINING|SIZE 10240000|STARTTLS|ENHANCEDSTATUSCODES|8BITMIME|DSN|SMTPUTF8|CHUNKING", "Postfix, likely 0.70"},
	{"Exim 4.96", "220 mx.test ESMTP Exim 4.96 Tue, 24 Nov 2026 16:00:00 +0000", "mx.test Hello localhost [127.0.0.1]|SIZE 52428800|8BITMIME|PIPELINING|STARTTLS|HELP", "Exim 4.96, almost certain 0.95"},
	{"OpenSMTPD 6.8.0p2 and 7.4.0p1", "220 backend.test ESMTP OpenSMTPD", "backend.test Hello [127.0.0.1] [127.0.0.1], pleased to meet you|8BITMIME|ENHANCEDSTATUSCODES|SIZE 36700160|DSN|STARTTLS|HELP", "OpenSMTPD, almost certain 0.95"},
	{"OpenSMTPD, renamed", "220 mail", "backend.test Hello [127.0.0.1] [127.0.0.1], pleased to meet you|8BITMIME|ENHANCEDSTATUSCODES|SIZE 36700160|DSN|STARTTLS|HELP", "OpenSMTPD, possible 0.40"},
	{"sendmail 8.17.1", "220 mx.test ESMTP Sendmail 8.17.1.9/8.17.1.9; Tue, 24 Nov 2026 19:37:36 GMT", "mx.test Hello mx.test [127.0.0.1], pleased to meet you|ENHANCEDSTATUSCODES|PIPELINING|8BITMIME|SIZE|DSN|ETRN|AUTH DIGEST-MD5 CRAM-MD5|STARTTLS|DELIVERBY|HELP", "sendmail 8.17.1.9, almost certain 0.95"},
	{"sendmail, renamed", "220 mail", "mx.test Hello mx.test [127.0.0.1], pleased to meet you|ENHANCEDSTATUSCODES|PIPELINING|8BITMIME|SIZE|DSN|ETRN|AUTH DIGEST-MD5 CRAM-MD5|STARTTLS|DELIVERBY|HELP", "sendmail, possible 0.40"},
	{"Stalwart", "220 mx.test Stalwart ESMTP at your service", stalwartSays, "Stalwart, likely 0.80"},
	{"Stalwart, renamed", "220 mail", stalwartSays, "Stalwart, possible 0.40"},
	{"Exchange", "220 mx.test Microsoft ESMTP MAIL Service ready at Fri, 5 Aug 2016 16:24:41 -0700", exchangeSays, "Exchange, likely 0.80"},
	{"Exchange, renamed", "220 mail", exchangeSays, "Exchange, possible 0.40"},
	{"nginx", "220 front.test ESMTP ready", "front.test|STARTTLS", "nginx, likely 0.70"},
	{"Postern", "220 mx.test ESMTP Postern JM5J7MHXEH", "mx.test|PIPELINING|SIZE 52428800|STARTTLS", "Postern, almost certain 0.95"},
	{"unknown", "220 mx.test", "mx.test|STARTTLS", "not recognised, less likely 0.00"},
	{"empty", "", "", "not recognised, less likely 0.00"},
}

const (
	stalwartSays = "mx.test you had me at EHLO|STARTTLS|SMTPUTF8|SIZE 104857600|REQUIRETLS|PIPELINING|NO-SOLICITING|ENHANCEDSTATUSCODES|CHUNKING|BINARYMIME|8BITMIME"
	exchangeSays = "mx.test Hello [127.0.0.1]|SIZE 37748736|PIPELINING|DSN|ENHANCEDSTATUSCODES|STARTTLS|X-ANONYMOUSTLS|AUTH NTLM|X-EXPS GSSAPI NTLM|8BITMIME|BINARYMIME|CHUNKING|XRDST"
)

func TestSoftwareIsRecognised(t *testing.T) {
	for _, m := range samples {
		got := recognise([]string{m.greeting}, withCodes(m.ehlo))
		if said := fmt.Sprintf("%s, %s %.2f", got, got.Confidence, float64(got.Confidence)); said != m.want {
			t.Errorf("%s: %s, want %s", m.name, said, m.want)
		}
		if got.Name != "" && len(got.Clues) == 0 {
			t.Errorf("%s: no clues", m.name)
		}
		measured := got.Name != "Stalwart" && got.Name != "Exchange"
		if said := strings.Join(got.Clues, ", "); strings.Contains(said, "not measured, from https://") == measured {
			t.Errorf("%s: the clues are %s", m.name, said)
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
