package relay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/smtp"
)

func TestExtensionsAreThoseOfTheLastConversation(t *testing.T) {
	b := newBackend(t,
		"< 220 ready\n> EHLO front.test\n< 250-backend\n< 250-SIZE 1000\n< 250-SMTPUTF8\n< 250 REQUIRETLS\n> QUIT\n< 221 bye",
		"< 220 ready\nserve")
	b.offers = []string{"DSN", "8BITMIME"}
	hop := b.hop("smtp://mail.test")
	if got, want := hop.Extensions(), (smtp.Extensions{EightBitMIME: true}); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}
	if err := hop.Probe(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, want := hop.Extensions(), (smtp.Extensions{SMTPUTF8: true, Size: 1000}); got != want {
		t.Errorf("after the probe: %+v, want %+v", got, want)
	}
	s := hop.Open(someSender)
	deliver(s, someText)
	s.Close()
	b.wait()
	if got, want := hop.Extensions(), (smtp.Extensions{DSN: true, EightBitMIME: true}); got != want {
		t.Errorf("after a message: %+v, want %+v", got, want)
	}
}

func TestProbeTellsTheStep(t *testing.T) {
	for script, want := range map[string]string{
		"close":                          "relay: greeting: EOF",
		"< 554 5.3.2 not here\nhang":     "relay: greeting: refused with 554 5.3.2 not here",
		"< 220 ready\n> EHLO *\nclose":   "relay: EHLO: EOF",
		"< 220 ready\n> EHLO *\n< 354 x": "relay: EHLO: server speaks out of turn",
		"< hello":                        `relay: greeting: smtp: not a reply: "hello"`,
	} {
		b := newBackend(t, script)
		err := b.hop("smtp://mail.test").Probe(context.Background())
		b.wait()
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", script, err, want)
		}
	}
}

func TestProbeStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, "hang")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := b.hop("smtp://mail.test").Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %s", took)
		}
		b.wait()
	})
}

// TestQuitIsNotWaitedForLong: nobody needs the answer.
func TestQuitIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, firstMessage+"> QUIT\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		begun := time.Now()
		s.Close()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		b.wait()
	})
}
