package config

import (
	"fmt"
	"slices"
	"strings"
)

// Flags are the settings of the command line. Empty ones were not given; the
// others replace those of the file. The tags are for the parser of the command
// line, github.com/alecthomas/kong.
type Flags struct {
	Listen    []string `placeholder:"ADDRESS" sep:"none" help:"Listen here for SMTP with STARTTLS, as host:port. Repeatable. Default: 127.0.0.1:2525."`
	ListenTLS []string `name:"listen-tls" placeholder:"ADDRESS" sep:"none" help:"Listen here for SMTP that begins with TLS. Repeatable."`
	Hostname  string   `placeholder:"NAME" help:"What Postern calls itself. Default: the machine's name."`
	Domain    []string `placeholder:"DOMAIN" sep:"none" help:"Take mail for this domain. Repeatable. Default: localhost and the hostname."`
	Cert      []string `placeholder:"FILE" sep:"none" help:"Certificate, PEM. Repeatable, with a --key each. Default: self-signed."`
	Key       []string `placeholder:"FILE" sep:"none" help:"Private key of the certificate, PEM."`
	Data      string   `placeholder:"FOLDER" help:"Keep everything here. Default: postern-data."`
	NextHop   string   `placeholder:"URL" help:"Pass messages to smtp://, smtps:// or lmtp://host:port or lmtp+unix:///path. Default: maildir, a Maildir in the data folder."`
	Mode      string   `placeholder:"MODE" help:"TLS mode for new senders: first-write (default), own-write, no-ticket, tls12 or stock."`
	LogFormat string   `placeholder:"FORMAT" help:"text (default) or json."`
	LogLevel  string   `placeholder:"LEVEL" help:"debug, info (default), warn or error."`
}

// over gives settings with those of the flags behind them, where they win.
func (f Flags) over(settings []setting) []setting {
	if len(f.Cert) > 0 || len(f.Key) > 0 {
		settings = slices.DeleteFunc(settings, func(s setting) bool { return strings.HasPrefix(s.key, "certificate[") })
	}
	for _, list := range []struct {
		flag, key string
		values    []string
	}{
		{"--listen", "listen", f.Listen},
		{"--listen-tls", "listen-tls", f.ListenTLS},
		{"--domain", "domains", f.Domain},
	} {
		if len(list.values) > 0 {
			settings = append(settings, listSetting(list.flag, list.key, list.values))
		}
	}
	for _, single := range []struct{ flag, key, value string }{
		{"--hostname", "hostname", f.Hostname},
		{"--data", "data", f.Data},
		{"--next-hop", "next-hop", f.NextHop},
		{"--mode", "mode", f.Mode},
		{"--log-format", "log.format", f.LogFormat},
		{"--log-level", "log.level", f.LogLevel},
	} {
		if single.value != "" {
			settings = append(settings, setting{key: single.key, value: textValue(single.value), place: single.flag})
		}
	}
	return append(settings, f.pairs()...)
}

func listSetting(flag, key string, values []string) setting {
	v := value{list: []value{}}
	for _, s := range values {
		v.list = append(v.list, textValue(s))
	}
	return setting{key: key, value: v, place: flag}
}

// pairs are the settings of --cert and --key, which belong together in order.
func (f Flags) pairs() []setting {
	var settings []setting
	for i := range max(len(f.Cert), len(f.Key)) {
		table := fmt.Sprintf("certificate[%d]", i)
		settings = append(settings, setting{key: table, value: value{table: true}, place: "--cert"})
		if i < len(f.Cert) {
			settings = append(settings, setting{key: table + ".cert", value: textValue(f.Cert[i]), place: "--cert"})
		}
		if i < len(f.Key) {
			settings = append(settings, setting{key: table + ".key", value: textValue(f.Key[i]), place: "--key"})
		}
	}
	return settings
}
