package relay

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// goodURLs are valid, with their Config and its String.
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
	{"smtp://m?proxy=v2&xclient=on", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto, Proxy: 2, XClient: XClientOn}, "smtp://m:25"},
	{"smtp://m?proxy=v1", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto, Proxy: 1}, "smtp://m:25"},
	{"smtp://m?connections=180", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto, Connections: 180}, "smtp://m:25"},
	{"smtp://m?connect-timeout=5s&command-timeout=1m&text-timeout=90s&end-timeout=1h", Config{Network: "tcp", Address: "m:25", Name: "m", TLS: TLSAuto,
		Timeouts: Timeouts{Connect: 5 * time.Second, Command: time.Minute, DataBlock: 90 * time.Second, DataTermination: time.Hour}}, "smtp://m:25"},
	{"smtps://m", Config{Network: "tcp", Address: "m:465", Name: "m", TLS: TLSImplicit}, "smtps://m:465"},
	{"smtps://m?name=n", Config{Network: "tcp", Address: "m:465", Name: "n", TLS: TLSImplicit}, "smtps://m:465"},
	{"lmtp://m:24", Config{Network: "tcp", Address: "m:24", Name: "m", TLS: TLSAuto, LMTP: true}, "lmtp://m:24"},
	{"lmtp+unix:///run/dovecot/lmtp", Config{Network: "unix", Address: "/run/dovecot/lmtp", LMTP: true}, "lmtp+unix:///run/dovecot/lmtp"},
	{"lmtp+unix:///run/lmtp?xclient=on", Config{Network: "unix", Address: "/run/lmtp", LMTP: true, XClient: XClientOn}, "lmtp+unix:///run/lmtp"},
}

// badURLs are rejected, each for the reason given.
var badURLs = []struct{ url, why string }{
	{"", "no scheme; use smtp://, smtps://, lmtp:// or lmtp+unix://"},
	{"mail.example.org:25", "no scheme"},
	{"127.0.0.1:25", "no scheme"},
	{"127.0.0.1", "no scheme"},
	{"imap://m", `unknown scheme "imap"; use smtp, smtps, lmtp or lmtp+unix`},
	{"smtp:m:25", "no scheme; use smtp://"},
	{"smtp://", "no host; write smtp://HOST:PORT"},
	{"smtp://:25", "no host"},
	{"smtp://m:mail", `invalid port ":mail" after host`},
	{"smtp://m:0", `invalid port "0"; use 1 to 65535`},
	{"smtp://m:65536", `invalid port "65536"`},
	{"lmtp://m", "no port, and LMTP has no default; write lmtp://m:PORT"},
	{"lmtp+unix://run/lmtp", "no path of a socket; write lmtp+unix:///path/to/socket"},
	{"lmtp+unix://", "no path of a socket"},
	{"smtp://m/inbox", `path "/inbox" has no meaning here; remove it`},
	{"smtp://m#x", "#x has no meaning here"},
	{"smtp://u:secret@m:port", `relay: next hop "m:port": invalid port ":port" after host`},
	{"smtp://u:secret@m", "user and password are not supported; remove them"},
	{"smtp://m?tls=on", `unknown option "tls"; use starttls, name, proxy, xclient, connections, connect-`},
	{"smtp://m?connections=0", `invalid option connections="0"; use a number from 1 on`},
	{"smtp://m?connections=many", `invalid option connections="many"`},
	{"smtp://m?timeout=1s", `unknown option "timeout"`},
	{"smtp://m?end-timeout=30", `invalid option end-timeout="30"; use a number with unit`},
	{"smtp://m?text-timeout=-1s", `invalid option text-timeout="-1s"; use a number`},
	{"smtp://m?starttls=yes", `invalid option starttls="yes"; use auto, require, off`},
	{"smtp://m?starttls=", `invalid option starttls=""; use auto, require, off`},
	{"smtp://m?proxy=on", `invalid option proxy="on"; use v1, v2`},
	{"smtp://m?xclient=yes", `invalid option xclient="yes"; use auto, on, off`},
	{"smtp://m?xclient=on&xclient=off", "option xclient is given twice"},
	{"smtp://m?name=", "name is empty"},
	{"smtp://m?name=n&starttls=off", "name has no effect without TLS"},
	{"smtp://m?a;b", "invalid options"},
	{"smtps://m?starttls=require", "starttls has no effect with smtps, which begins with TLS; remove it"},
	{"lmtp+unix:///run/lmtp?starttls=off", "starttls has no effect on a unix socket"},
	{"lmtp+unix:///run/lmtp?name=n", "name has no effect without TLS"},
}

func TestParseURL(t *testing.T) {
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
		a.Name == b.Name && a.Proxy == b.Proxy && a.XClient == b.XClient && a.Timeouts == b.Timeouts && a.Connections == b.Connections
}

func TestParseURLRejects(t *testing.T) {
	for _, tt := range badURLs {
		_, err := ParseURL(tt.url)
		if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v\nwant %s", tt.url, err, tt.why)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error contains the password: %v", err)
		}
	}
}

func TestTimeoutsHaveDefaults(t *testing.T) {
	got := Timeouts{}.orDefaults()
	want := Timeouts{
		Connect: 10 * time.Second, Command: 2 * time.Minute, DataBlock: 3 * time.Minute, DataTermination: 10 * time.Minute, Quit: time.Second,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if set := (Timeouts{1, 2, 3, 4, 5}); set.orDefaults() != set {
		t.Errorf("%+v became %+v", set, set.orDefaults())
	}
}
