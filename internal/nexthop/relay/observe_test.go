package relay

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// observed returns the steps of one message with a server that follows a script, those that
// failed with a star, and the time of the last one.
func observed(t *testing.T, url, script string) (steps string, last time.Duration) {
	t.Helper()
	b := newBackend(t, script)
	config := mustParse(t, url)
	config.Dial = b.dial
	var all []string
	config.Observe = func(step string, took time.Duration, failed bool) {
		if !slices.Contains(Steps(), step) {
			t.Errorf("%q is none of Steps", step)
		}
		if failed {
			step += "*"
		}
		all, last = append(all, step), took
	}
	s := New(config, "front.test", nil).Open(someSender)
	deliver(s, someText)
	b.end(s)
	return strings.Join(all, ", "), last
}

func TestEachStepIsObserved(t *testing.T) {
	for _, tt := range []struct{ name, url, script, want string }{
		{"delivered", "smtp://mail.test?starttls=off", "< 220 ready\nserve", "connect, greeting, EHLO, MAIL, RCPT, DATA, end of text"},
		{"with PROXY header", "smtp://mail.test?starttls=off&proxy=v2", "some 28\n< 220 ready\nserve", "connect, greeting, EHLO, MAIL, RCPT, DATA, end of text"},
		{"recipient refused", "smtp://mail.test?starttls=off", "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\n< 250 ok\n> RCPT *\n< 550 no\nserve", "connect, greeting, EHLO, MAIL, RCPT"},
		{"no STARTTLS", "smtp://mail.test?starttls=require", "< 220 ready\n> EHLO *\n< 250 backend\nhang", "connect, greeting, EHLO, STARTTLS*"},
		{"closed at MAIL", "smtp://mail.test?starttls=off", "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\nclose", "connect, greeting, EHLO, MAIL*"},
		{"refuses to begin", "smtp://mail.test?starttls=off", "< 554 no\nclose", "connect, greeting*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := observed(t, tt.url, tt.script); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// What counts is the server's time, from the end of the text to its reply.
func TestTheLastStepTakesAsLongAsTheServerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, took := observed(t, "smtp://mail.test?starttls=off",
			"< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\n< 250 ok\n> RCPT *\n< 250 ok\n> DATA\n< 354 go on\ntext\nwait 3s\n< 250 taken\nserve")
		if took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
