package relay

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// goodURLs are taken; what they mean is told as String and options.
var goodURLs = []struct {
	url  string
	want Config
	name string
}{
	{"smtp://127.0.0.1:10025", Config{Network: "tcp", Address: "127.0.0.1:10025", Name: "127.0.0.1", TLS: TLSAuto}, "smtp://127.0.0.1:10025"},
	{"smtp://mail.example.org", Config{Network: "tcp", Address: "mail.example.org:25", Name: "mail.example.org", TLS: TLSAuto}, "smtp://mail.example.org:25"},
	{"SMTP://mail.example.org/", Config{Network: "tcp", Address: "mail.example.org:25", Name: "mail.example.org", TLS: TLSAuto}, "smtp://mail.example.org:25"},
	{"smtp://[2001:db8::1]:25", Config{Network: "tcp", Address: "[2001:db8::1]:25", Name: "2001:db8::1", TLS: TLSAuto}, "smtp://[2001:db8::1]:25"},
	{"smtp://m?starttls=auto&xclient=auto", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto}, "smtp://m:25"},
	{"smtp://m?starttls=off&xclient=off", Config{Network: "tcp", Address: "m:25", Name: "m", XClient: XClientOff}, "smtp://m:25"},
	{"smtp://m?starttls=require&name=mail.example.org", Config{Network: "tcp", Address: "m:25", Name: "mail.example.org", TLS: TLSRequire}, "smtp://m:25"},
	{"smtp://m?proxy=v2&xclient=on", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto, ProxyV2: true, XClient: XClientOn}, "smtp://m:25"},
	{"smtp://m?connect-timeout=5s&command-timeout=1m&text-timeout=90s&end-timeout=1h", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto,
		Timeouts: Timeouts{Connect: 5 * time.Second, Command: time.Minute, DataBlock: 90 * time.Second, DataTermination: time.Hour}}, "smtp://m:25"},
	{"smtps://m", Config{Network: "tcp", Address: "m:465", Name: "m", TLS: TLSImplicit}, "smtps://m:465"},
	{"smtps://m?name=n", Config{Network: "tcp", Address: "m:465", Name: "n", TLS: TLSImplicit}, "smtps://m:465"},
	{"lmtp://m:24", Config{Network: "tcp", Address: "m:24", Name: "m", TLS: TLSAuto, LMTP: true}, "lmtp://m:24"},
	{"lmtp+unix:///run/dovecot/lmtp", Config{Network: "unix", Address: "/run/dovecot/lmtp", LMTP: true}, "lmtp+unix:///run/dovecot/lmtp"},
	{"lmtp+unix:///run/lmtp?xclient=on", Config{Network: "unix", Address: "/run/lmtp", LMTP: true, XClient: XClientOn}, "lmtp+unix:///run/lmtp"},
}

// badURLs are refused, each for the reason given.
var badURLs = []struct{ url, why string }{
	{"", "scheme missing, use smtp://, smtps://, lmtp:// or lmtp+unix://"},
	{"mail.example.org:25", `unknown scheme "mail.example.org"`},
	{"127.0.0.1:25", "first path segment in URL cannot contain colon"},
	{"127.0.0.1", "scheme missing"},
	{"imap://m", `unknown scheme "imap", use smtp, smtps, lmtp or lmtp+unix`},
	{"smtp:m:25", "host missing, write smtp://HOST:PORT"},
	{"smtp://", "host missing, write smtp://HOST:PORT"},
	{"smtp://:25", "host missing"},
	{"smtp://m:mail", `invalid port ":mail" after host`},
	{"smtp://m:0", `bad port "0", use 1 to 65535`},
	{"smtp://m:65536", `bad port "65536"`},
	{"lmtp://m", "port missing, write lmtp://m:PORT; LMTP has no port of its own"},
	{"lmtp+unix://run/lmtp", "socket's path missing, write lmtp+unix:///path/to/socket"},
	{"lmtp+unix:", "socket's path missing"},
	{"smtp://m/inbox", `path "/inbox" means nothing here, leave it out`},
	{"smtp://m#x", "#x means nothing here"},
	{"smtp://u:secret@m", "user and password are not supported, leave them out"},
	{"smtp://m?tls=on", `unknown option "tls", there are starttls, name, proxy, xclient, and connect-`},
	{"smtp://m?timeout=1s", `unknown option "timeout"`},
	{"smtp://m?end-timeout=30", `option end-timeout="30", use a number with one of the units`},
	{"smtp://m?text-timeout=-1s", `option text-timeout="-1s", use a number`},
	{"smtp://m?starttls=yes", `option starttls="yes", use auto, require, off`},
	{"smtp://m?starttls=", `option starttls="", use auto, require, off`},
	{"smtp://m?proxy=v1", `option proxy="v1", use v2`},
	{"smtp://m?xclient=yes", `option xclient="yes", use auto, on, off`},
	{"smtp://m?xclient=on&xclient=off", "option xclient is given twice"},
	{"smtp://m?name=", "name is empty"},
	{"smtp://m?name=n&starttls=off", "name is of no use without TLS"},
	{"smtp://m?a;b", "bad options"},
	{"smtps://m?starttls=require", "smtps begins with TLS, leave starttls out"},
	{"lmtp+unix:///run/lmtp?starttls=off", "starttls is of no use on a unix socket"},
	{"lmtp+unix:///run/lmtp?name=n", "name is of no use without TLS"},
}

func TestParse(t *testing.T) {
	for _, tt := range goodURLs {
		got, err := ParseURL(tt.url)
		if err != nil {
			t.Error(err)
			continue
		}
		if !sameTarget(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.url, got, tt.want)
		}
		if got.String() != tt.name {
			t.Errorf("%s: named %s, want %s", tt.url, got, tt.name)
		}
	}
}

// sameTarget compares what a URL can say.
func sameTarget(a, b Config) bool {
	return a.Network == b.Network && a.Address == b.Address && a.LMTP == b.LMTP && a.TLS == b.TLS &&
		a.Name == b.Name && a.ProxyV2 == b.ProxyV2 && a.XClient == b.XClient && a.Timeouts == b.Timeouts
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range badURLs {
		_, err := ParseURL(tt.url)
		if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v\nwant %s", tt.url, err, tt.why)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("password told: %v", err)
		}
	}
}

func TestTimeoutsHaveDefaults(t *testing.T) {
	got := Timeouts{Connect: 1, DataTermination: 2}.orDefaults()
	if got.Connect != 1 || got.DataTermination != 2 || got.Command == 0 || got.DataBlock == 0 || got.Quit == 0 {
		t.Errorf("%+v", got)
	}
}
