package smtp

import (
	"errors"
	"strings"
	"testing"
)

var all = Extensions{EightBitMIME: true, SMTPUTF8: true, DSN: true, RequireTLS: true}

// Arguments of MAIL as clients write them.
var mails = []struct {
	arg  string
	want Mail
}{
	{"FROM:<>", Mail{}},
	{"FROM:<a@example.org>", Mail{From: "a@example.org"}},
	{"from: <a@example.org>", Mail{From: "a@example.org"}}, // a space, as many clients write
	{"FROM:<a@example.org> SIZE=1000 BODY=8BITMIME", Mail{From: "a@example.org", Size: 1000, EightBit: true}},
	{"FROM:<a@example.org>\tSIZE=0123456789  body=8bitmime", Mail{From: "a@example.org", Size: 123456789, EightBit: true}},
	{"FROM:<a@example.org> ENVID=~!", Mail{From: "a@example.org", EnvelopeID: "~!"}},
	{"FROM:<a@example.org> size=99999999999999999999", Mail{From: "a@example.org", Size: 1 << 60 / 10}},
	{"FROM:<a@example.org> BODY=7BIT", Mail{From: "a@example.org"}},
	{"FROM:<@relay.example,@b.example:a@example.org>", Mail{From: "a@example.org"}}, // RFC 5321, Appendix C
	{"FROM:<a..b.@example.org>", Mail{From: "a..b.@example.org"}},
	{`FROM:<"a b>c"@example.org>`, Mail{From: `"a b>c"@example.org`}},
	{`FROM:<"a\"b"@example.org>`, Mail{From: `"a\"b"@example.org`}},
	{"FROM:<a@[192.0.2.1]>", Mail{From: "a@[192.0.2.1]"}},
	{"FROM:<a@[IPv6:2001:db8::1]>", Mail{From: "a@[IPv6:2001:db8::1]"}},
	{"FROM:<a@under_score.example>", Mail{From: "a@under_score.example"}},
	{"FROM:<ü@exämple.org> SMTPUTF8", Mail{From: "ü@exämple.org", UTF8: true}},
	{"FROM:<a@example.org> RET=hdrs ENVID=QQ314159", Mail{From: "a@example.org", Return: "HDRS", EnvelopeID: "QQ314159"}},
	{"FROM:<a@example.org> REQUIRETLS", Mail{From: "a@example.org", RequireTLS: true}},
}

func TestParseMailReadsWhatClientsWrite(t *testing.T) {
	for _, test := range mails {
		got, err := ParseMail(test.arg, all)
		if err != nil || got != test.want {
			t.Errorf("MAIL %s: got %+v, %v; want %+v", test.arg, got, err, test.want)
		}
	}
}

var badMails = []struct {
	arg  string
	code int
}{
	{"", 501},
	{"TO:<a@example.org>", 501},
	{"FROM:a@example.org", 501},           // no brackets
	{"FROM:<a@example.org", 501},          // not closed
	{`FROM:<"a@example.org>`, 501},        // the quote hides the bracket
	{"FROM:<a@example.org>SIZE=1", 501},   // no space
	{"FROM:<a>", 553},                     // no domain
	{"FROM:<@example.org>", 553},          // no local part
	{"FROM:<a@>", 553},                    // empty domain
	{"FROM:<a@b@example.org>", 553},       // two @ outside of quotes
	{"FROM:<a b@example.org>", 553},       // space
	{"FROM:<a@exa mple.org>", 553},        //
	{"FROM:<a@example..org>", 553},        // empty label
	{"FROM:<a@[>", 553},                   // literal not closed
	{`FROM:<"a"b"@example.org>`, 501},     // quote within quotes
	{`FROM:<"a\"@example.org>`, 501},      // escaped closing quote
	{"FROM:<@relay.example>", 553},        // source route without a mailbox
	{"FROM:<ü@example.org>", 553},         // RFC 6531: only with SMTPUTF8
	{"FROM:<a@example.org> SIZE=", 501},   //
	{"FROM:<a@example.org> SIZE=-1", 501}, //
	{"FROM:<a@example.org> SIZE=1 SIZE=2", 501},
	{"FROM:<a@example.org> BODY=BINARYMIME", 501},
	{"FROM:<a@example.org> SMTPUTF8=yes", 501},
	{"FROM:<a@example.org> RET=SOME", 501},
	{"FROM:<a@example.org> AUTH=<>", 555},
	{"FROM:<a@example.org> XFOO=1", 555},
	{"FROM:<" + strings.Repeat("a", 257) + "@example.org>", 553},
	{"FROM:<a@" + strings.Repeat("a.", 127) + "org>", 553},
}

func TestParseMailRefuses(t *testing.T) {
	for _, test := range badMails {
		got, err := ParseMail(test.arg, all)
		wantRefusal(t, "MAIL "+test.arg, got, err, test.code)
	}
}

// The reply is all that a sender's administrator reads.
func TestRefusalsNameTheFault(t *testing.T) {
	for arg, want := range map[string]string{
		"TO:<a@example.org>":                     "501 5.5.4 expected FROM:<address>",
		"FROM:a@example.org":                     "501 5.5.4 address must be in <>",
		"FROM:<a@example.org":                    "501 5.5.4 address lacks the closing >",
		"FROM:<a@example.org>SIZE=1":             "501 5.5.4 expected a space after the address",
		"FROM:<a>":                               "553 5.1.3 bad address syntax",
		"FROM:<ü@example.org>":                   "553 5.6.7 non-ASCII address needs SMTPUTF8 (RFC 6531)",
		"FROM:<a@example.org> xfoo=1":            "555 5.5.4 parameter XFOO not offered",
		"FROM:<a@example.org> SIZE=1 size=2":     "501 5.5.4 parameter SIZE given twice",
		"FROM:<a@example.org> SIZE=":             "501 5.5.4 bad value for parameter SIZE",
		"FROM:<a@example.org> SIZE=/":            "501 5.5.4 bad value for parameter SIZE",
		"FROM:<a@example.org> SIZE=:":            "501 5.5.4 bad value for parameter SIZE",
		"FROM:<a@example.org> BODY=x":            "501 5.5.4 bad value for parameter BODY",
		"FROM:<a@example.org> SMTPUTF8=x":        "501 5.5.4 bad value for parameter SMTPUTF8",
		"FROM:<a@example.org> REQUIRETLS=x":      "501 5.5.4 bad value for parameter REQUIRETLS",
		"FROM:<a@example.org> RET=x":             "501 5.5.4 bad value for parameter RET",
		"FROM:<a@example.org> ENVID=":            "501 5.5.4 bad value for parameter ENVID",
		"FROM:<a@example.org> ENVID=\x7f":        "501 5.5.4 bad value for parameter ENVID",
		"FROM:<a@example.org> ENVID=a\x1fb":      "501 5.5.4 bad value for parameter ENVID",
		"FROM:<a@example.org> =" + "x":           "555 5.5.4 parameter  not offered",
		"FROM:<a@example.org> " + long(41) + "=": "555 5.5.4 parameter " + long(40) + "... not offered",
	} {
		_, err := ParseMail(arg, all)
		if err == nil || err.Error() != "smtp: "+want {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
	for arg, want := range map[string]string{
		"FROM:<a@example.org>":                  "501 5.5.4 expected TO:<address>",
		"TO:<ü@example.org>":                    "553 5.6.7 non-ASCII address needs SMTPUTF8 (RFC 6531)",
		"TO:<a@example.org> NOTIFY=":            "501 5.5.4 bad value for parameter NOTIFY",
		"TO:<a@example.org> ORCPT=rfc822":       "501 5.5.4 bad value for parameter ORCPT",
		"TO:<a@example.org> ORCPT=;a":           "501 5.5.4 bad value for parameter ORCPT",
		"TO:<a@example.org> ORCPT=rfc822;":      "501 5.5.4 bad value for parameter ORCPT",
		"TO:<a@example.org> NOTIFY=DELAY SIZE=": "555 5.5.4 parameter SIZE not offered",
	} {
		_, err := ParseRecipient(arg, false, all)
		if err == nil || err.Error() != "smtp: "+want {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
	for line, want := range map[string]string{
		"EHLO \xff":   "500 5.5.2 command is not UTF-8 (RFC 6531)",
		"EHLO \x00":   "500 5.5.2 control character in command",
		"EHLO \u2028": "500 5.5.2 control character in command",
		"EHLO \u2029": "500 5.5.2 control character in command",
	} {
		verb, arg, err := ParseCommand([]byte(line))
		if verb != "" || arg != "" || err == nil || err.Error() != "smtp: "+want {
			t.Errorf("%q: %s %s, %v, want %s", line, verb, arg, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("X", n) }

func TestParametersAsLongAsTheyMayBe(t *testing.T) {
	for arg, valid := range map[string]bool{
		"FROM:<a@example.org> SIZE=" + strings.Repeat("9", 20): true,
		"FROM:<a@example.org> SIZE=" + strings.Repeat("0", 21): false,
		"FROM:<a@example.org> ENVID=" + long(100):              true, // RFC 3461, Section 4.4
		"FROM:<a@example.org> ENVID=" + long(101):              false,
	} {
		if _, err := ParseMail(arg, all); (err == nil) != valid {
			t.Errorf("MAIL %s: %v", arg, err)
		}
	}
	for n, valid := range map[int]bool{500: true, 501: false} { // RFC 3461, Section 4.2
		if _, err := ParseRecipient("TO:<a@example.org> ORCPT=a;"+long(n-2), false, all); (err == nil) != valid {
			t.Errorf("ORCPT of %d bytes: %v", n, err)
		}
	}
}

func wantRefusal(t *testing.T, what string, got any, err error, code int) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reply.Code != code || refusal.Reply.Enhanced() == "" {
		t.Errorf("%.80s: got %+v, %v; want a refusal with %d", what, got, err, code)
	}
}

func TestParametersOfExtensionsNotOfferedAreRefused(t *testing.T) {
	for _, param := range []string{"BODY=8BITMIME", "SMTPUTF8", "REQUIRETLS", "RET=FULL", "ENVID=x"} {
		got, err := ParseMail("FROM:<a@example.org> "+param, Extensions{})
		wantRefusal(t, param, got, err, 555)
	}
	got, err := ParseRecipient("TO:<a@example.org> NOTIFY=NEVER", false, Extensions{})
	wantRefusal(t, "NOTIFY", got, err, 555)
}

func TestParseRecipient(t *testing.T) {
	for arg, want := range map[string]Recipient{
		"TO:<a@example.org>":                                             {To: "a@example.org"},
		"TO:<Postmaster>":                                                {To: "Postmaster"},
		"to:<@relay.example:a@example.org>":                              {To: "a@example.org"},
		"TO:<a@example.org> NOTIFY=success,FAILURE":                      {To: "a@example.org", Notify: "SUCCESS,FAILURE"},
		"TO:<a@example.org> NOTIFY=NEVER ORCPT=rfc822;b+2Bc@example.org": {To: "a@example.org", Notify: "NEVER", Original: "rfc822;b+2Bc@example.org"},
	} {
		got, err := ParseRecipient(arg, false, all)
		if err != nil || got != want {
			t.Errorf("RCPT %s: got %+v, %v; want %+v", arg, got, err, want)
		}
	}
	for arg, code := range map[string]int{
		"TO:<>":              553, // only a sender may be null
		"TO:<a>":             553,
		"TO:<ü@example.org>": 553,
		"TO:<a@example.org> NOTIFY=NEVER,SUCCESS":   501,
		"TO:<a@example.org> NOTIFY=DELAY,DELAY":     501,
		"TO:<a@example.org> ORCPT=a@example.org":    501,
		"TO:<a@example.org> ORCPT=rfc822;ü":         501,
		"TO:<a@example.org> SIZE=1":                 555,
		"TO:<a@example.org>\tNOTIFY=NEVER NOTIFY=X": 501,
	} {
		got, err := ParseRecipient(arg, false, all)
		wantRefusal(t, "RCPT "+arg, got, err, code)
	}
}

func TestParseCommand(t *testing.T) {
	for line, want := range map[string][2]string{
		"quit":                  {"QUIT", ""},
		"MAIL FROM:<a@b.c> ":    {"MAIL", "FROM:<a@b.c>"},
		"EHLO \t mx.example ":   {"EHLO", "mx.example"},
		"":                      {"", ""},
		"RCPT TO:<ü@b.example>": {"RCPT", "TO:<ü@b.example>"},
	} {
		verb, arg, err := ParseCommand([]byte(line))
		if err != nil || verb != want[0] || arg != want[1] {
			t.Errorf("%q: got %q, %q, %v; want %q", line, verb, arg, err, want)
		}
	}
	for _, line := range []string{"MAIL\x00", "NOOP \r", "NOOP \x1b[2J", "EHLO \x7f", "EHLO \xff", "EHLO \u009b2J", "EHLO \u0085", "EHLO \u2028"} {
		verb, _, err := ParseCommand([]byte(line))
		wantRefusal(t, line, verb, err, 500)
	}
}

// Whatever a sender writes, the command that is passed on is one line and its path
// stays within its brackets.
func FuzzParseMail(f *testing.F) {
	for _, test := range mails {
		f.Add([]byte("MAIL " + test.arg))
	}
	for _, test := range badMails {
		f.Add([]byte("MAIL " + test.arg))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		_, arg, err := ParseCommand(line)
		if err != nil {
			return
		}
		mail, err := ParseMail(arg, all)
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) || strings.ContainsAny(refusal.Reply.String(), "\r\n\x00") {
				t.Fatalf("%q: bad refusal %v", line, err)
			}
			return
		}
		if mail.From == "" {
			return
		}
		again, err := ParseMail("FROM:<"+mail.From+"> SMTPUTF8", all)
		if err != nil || again.From != mail.From {
			t.Fatalf("%q: mailbox %q is read as %q, %v", line, mail.From, again.From, err)
		}
	})
}

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
		"!~":               "!~",
		"ä\x7f":            "+C3+A4+7F",
	} {
		if got := string(AppendXtext(nil, plain)); got != want {
			t.Errorf("%q: %q, want %q", plain, got, want)
		}
	}
}
