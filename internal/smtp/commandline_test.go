package smtp

import "testing"

func TestMailAppend(t *testing.T) {
	for _, tt := range []struct {
		mail Mail
		want string
	}{
		{Mail{}, "FROM:<>"},
		{Mail{From: "a@example.org"}, "FROM:<a@example.org>"},
		{Mail{From: "ä@example.org", Size: 1000, EightBit: true, UTF8: true, RequireTLS: true, Return: "HDRS", EnvelopeID: "x+2B"},
			"FROM:<ä@example.org> SIZE=1000 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=x+2B"},
	} {
		if got, want := string(tt.mail.Append(nil)), "MAIL "+tt.want+"\r\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if again, err := ParseMail(tt.want, all); err != nil || again != tt.mail {
			t.Errorf("%q is read as %+v, %v", tt.want, again, err)
		}
	}
}

func TestRecipientAppend(t *testing.T) {
	for _, tt := range []struct {
		rcpt Recipient
		want string
	}{
		{Recipient{To: "postmaster"}, "TO:<postmaster>"},
		{Recipient{To: `"a b"@example.org`}, `TO:<"a b"@example.org>`},
		{Recipient{To: "b@example.org", Notify: "SUCCESS,DELAY", Original: "rfc822;b+2Bx@example.org"},
			"TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@example.org"},
	} {
		if got, want := string(tt.rcpt.Append(nil)), "RCPT "+tt.want+"\r\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if again, err := ParseRecipient(tt.want, false, all); err != nil || again != tt.rcpt {
			t.Errorf("%q is read as %+v, %v", tt.want, again, err)
		}
	}
}

func TestAppendXtext(t *testing.T) {
	for plain, want := range map[string]string{
		"":                 "",
		"mail.example.org": "mail.example.org",
		"a b+c=d":          "a+20b+2Bc+3Dd",
		"\r\nX":            "+0D+0AX",
		"ä\x7f":            "+C3+A4+7F",
	} {
		if got := string(AppendXtext(nil, plain)); got != want {
			t.Errorf("%q: %q, want %q", plain, got, want)
		}
	}
}
