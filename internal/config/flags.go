package config

import (
	"slices"
	"strings"
)

// Flags are the settings of the command line. Those that are not empty override
// the file. The tags are for the parser of the command line,
// github.com/alecthomas/kong.
type Flags struct {
	Listen    []string `placeholder:"ADDRESS" sep:"none" help:"Listen on this host:port for SMTP with STARTTLS. Repeatable. Default: 127.0.0.1:2525."`
	ListenTLS []string `name:"listen-tls" placeholder:"ADDRESS" sep:"none" help:"Listen on this host:port for SMTP with implicit TLS. Repeatable. Default: none."`
	Hostname  string   `placeholder:"NAME" help:"Host name of this server, as in its MX record. Default: the machine's name."`
	Domain    []string `placeholder:"DOMAIN" sep:"none" help:"Accept mail for this domain. Repeatable. Default: localhost and the hostname."`
	Cert      []string `placeholder:"FILE" sep:"none" help:"Present this certificate, PEM. Repeatable, each with a --key. Default: self-signed."`
	Key       []string `placeholder:"FILE" sep:"none" help:"Use this private key of the certificate, PEM."`
	Data      string   `placeholder:"FOLDER" help:"Store certificates, mail and the ledger in this folder. Default: postern-data."`
	NextHop   string   `placeholder:"URL" help:"Deliver messages to this server: smtp://, smtps:// or lmtp://host:port, or lmtp+unix:///path. Default: maildir, a Maildir in the data folder."`
	Dashboard string   `placeholder:"ADDRESS" help:"Serve the dashboard on this host:port; off turns it off. Default: 127.0.0.1:8025."`
	Metrics   string   `placeholder:"ADDRESS" help:"Serve metrics for Prometheus on this host:port; off turns it off. Default: 127.0.0.1:9925."`
	Mode      string   `complete:"mode" placeholder:"MODE" help:"Answer new senders in this TLS mode: own-write (default), first-write, no-ticket, tls12 or stock."`
	LogFormat string   `placeholder:"FORMAT" help:"Log in this format: text (default) or json."`
	LogLevel  string   `placeholder:"LEVEL" help:"Log at this level and above: debug, info (default), warn or error."`
}

// over returns settings followed by those of the flags, which win.
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
		{"--dashboard", "dashboard.listen", f.Dashboard},
		{"--metrics", "metrics.listen", f.Metrics},
		{"--mode", "mode", f.Mode},
		{"--log-format", "log.format", f.LogFormat},
		{"--log-level", "log.level", f.LogLevel},
	} {
		if single.value != "" {
			settings = append(settings, setting{key: single.key, value: textValue(single.value), at: place{source: single.flag}})
		}
	}
	return append(settings, f.pairs()...)
}

func listSetting(flag, key string, values []string) setting {
	v := value{list: []value{}}
	for _, s := range values {
		v.list = append(v.list, textValue(s))
	}
	return setting{key: key, value: v, at: place{source: flag}}
}

// pairs are the settings of --cert and --key, paired in order.
func (f Flags) pairs() []setting {
	var settings []setting
	for i := range max(len(f.Cert), len(f.Key)) {
		table := element("certificate", i)
		settings = append(settings, setting{key: table, value: value{table: true}, at: place{source: "--cert"}})
		if i < len(f.Cert) {
			settings = append(settings, setting{key: table + ".cert", value: textValue(f.Cert[i]), at: place{source: "--cert"}})
		}
		if i < len(f.Key) {
			settings = append(settings, setting{key: table + ".key", value: textValue(f.Key[i]), at: place{source: "--key"}})
		}
	}
	return settings
}
