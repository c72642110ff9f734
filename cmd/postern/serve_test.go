package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/smtp"
)

// Mail addresses are personal data: no attribute shows more of them than the setting allows.
func TestTheLogShowsAsMuchOfAddressesAsConfigured(t *testing.T) {
	for detail, want := range map[smtp.AddressDetail][]string{
		smtp.FullAddress: {`"from":"ann@a.test"`, `"rcpts":["bob@b.test","bob","<bob@b.test> refused: 550 no bob@b.test"]`, `"reply":"550 <bob@b.test>"`},
		smtp.DomainOnly:  {`"from":"a.test"`, `"rcpts":["b.test","","<…@b.test> refused: 550 no …@b.test"]`, `"reply":"550 <…@b.test>"`, `"err":"refused with 450 …@b.test"`},
		smtp.NoAddress:   {`"from":""`, `"rcpts":["","","<…> refused: 550 no …"]`, `"reply":"550 <…>"`, `"end":"421 …"`},
	} {
		var out bytes.Buffer
		log := newLog(&out, config.Log{Format: "json", Addresses: detail}, slog.LevelInfo).With(logkey.NextHop, "smtp://b.test")
		log.Info("x", logkey.From, "ann@a.test", logkey.Recipients, []string{"bob@b.test", "bob", "<bob@b.test> refused: 550 no bob@b.test"},
			logkey.Reply, "550 <bob@b.test>", logkey.Err, errors.New("refused with 450 bob@b.test"), logkey.End, "421 bob@b.test", logkey.EHLO, "ann@b.test")
		log.Info("x", logkey.Recipients, 3)
		want = append(want, `"rcpts":3`)
		for _, text := range want {
			if got := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(out.String()); !strings.Contains(got, text) {
				t.Errorf("%v: the log has no %s:\n%s", detail, text, got)
			}
		}
		if detail != smtp.FullAddress && (strings.Contains(out.String(), "ann") || strings.Contains(out.String(), "bob")) {
			t.Errorf("%v: the log names somebody:\n%s", detail, out.String())
		}
	}
}

// An error can quote what a server or a sender sent.
func TestTheLogIsSafeInBothFormats(t *testing.T) {
	for format, want := range map[string]string{
		"text": `err="550 \x1b[2J\x7f\u009b\u202egpj.exe"`,
		"json": `"err":"550 \u001b[2J\u007f\u009b\u202egpj.exe"`,
	} {
		var out bytes.Buffer
		log := newLog(&out, config.Log{Format: format}, slog.LevelInfo)
		log.Info("x", logkey.Err, errors.New("550 \x1b[2J\x7f\u009b\u202egpj.exe"))
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q has no %s", format, out.String(), want)
		}
	}
}
