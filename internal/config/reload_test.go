package config

import (
	"strings"
	"testing"

	"postern/internal/testcert"
)

func TestMissingIn(t *testing.T) {
	table := func(p *testcert.Pair) string {
		return "[[certificate]]\ncert = '" + p.CertFile + "'\nkey = '" + p.KeyFile + "'\n"
	}
	one, two, other := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{})
	const names = "hostname = 'mx.example.org'\ndomains = ['example.org', 'example.net']\n"
	for _, tt := range []struct {
		name, now, next string
		flags           Flags
		want            []string
	}{
		{name: "nothing", now: names + table(one), next: names + table(one)},
		{name: "emptied", now: names + table(one), next: "", want: []string{
			"hostname: is missing; it was mx.example.org",
			"domains: is missing; it was example.org, example.net",
			"certificate: is missing; it was " + one.CertFile,
		}},
		{name: "cut after the first key", now: names, next: "hostname = 'mx.example.org'\n", want: []string{"domains: is missing"}},
		{name: "cut after the first certificate", now: names + table(one) + table(two), next: names + table(one),
			want: []string{"certificate: is missing; it was " + two.CertFile}},
		{name: "another certificate", now: names + table(one) + table(two), next: names + table(one) + table(other)},
		{name: "another name, one domain less", now: names, next: "hostname = 'mail.example.org'\ndomains = ['example.org']\n"},
		{name: "flags stay", now: "", next: "", flags: Flags{Hostname: "mx.example.org", Domain: []string{"example.org"}}},
		{name: "never set", now: "", next: ""},
		{name: "set now", now: "", next: names + table(one)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustLoad(t, write(t, tt.now), tt.flags).MissingIn(mustLoad(t, write(t, tt.next), tt.flags))
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i].Error(), "postern.toml: "+want) || got[i].Remedy == "" {
					t.Errorf("got %v, want %q with a remedy", got[i], want)
				}
			}
		})
	}
}

func TestEmptied(t *testing.T) {
	for _, tt := range []struct {
		text  string
		flags Flags
		want  bool
	}{
		{text: "", want: true},
		{text: "# domains = ['example.org']\n", want: true},
		{text: "data = 'postern-data'\n"},
		{text: "", flags: Flags{Domain: []string{"example.org"}}},
	} {
		if got := mustLoad(t, write(t, tt.text), tt.flags).Emptied(); (len(got) == 1) != tt.want {
			t.Errorf("%q: %v", tt.text, got)
		}
	}
	if got := mustLoad(t, "", Flags{}).Emptied(); got != nil {
		t.Errorf("without a file: %v", got)
	}
}

func TestMissingDomainsAreSummedUp(t *testing.T) {
	now := &Config{Domains: []string{"a", "b", "c", "d", "e", "f", "g"}, places: places{"domains": {}}}
	if got := now.MissingIn(&Config{}).Error(); !strings.Contains(got, "a, b, c, d, e and 2 more") {
		t.Errorf("got %s", got)
	}
}

func TestAcceptedIn(t *testing.T) {
	for _, tt := range []struct {
		name           string
		now, next      Config
		added, removed string
	}{
		{name: "nothing", now: Config{Domains: []string{"a.org", "b.org"}}, next: Config{Domains: []string{"a.org", "b.org"}}},
		{name: "another order and spelling", now: Config{Domains: []string{"a.org", "b\u00fccher.org"}},
			next: Config{Domains: []string{"xn--bcher-kva.org", "A.ORG"}}},
		{name: "one more, one fewer", now: Config{Domains: []string{"a.org", "b.org", "c.org"}},
			next: Config{Domains: []string{"a.org", "d.org", "c.org"}}, added: "d.org", removed: "b.org"},
		{name: "all", now: Config{Domains: []string{"a.org", "b.org"}}, next: Config{Domains: []string{"c.org"}},
			added: "c.org", removed: "a.org b.org"},
		{name: "recipients", now: Config{Recipients: []string{"a@a.org", "b@a.org"}},
			next: Config{Recipients: []string{"B@a.org", "c@a.org"}}, added: "c@a.org", removed: "a@a.org"},
		{name: "no list of recipients any more", now: Config{Recipients: []string{"a@a.org"}}},
		{name: "a list of recipients now", next: Config{Recipients: []string{"a@a.org"}}},
	} {
		added, removed := tt.now.AcceptedIn(&tt.next)
		if strings.Join(added, " ") != tt.added || strings.Join(removed, " ") != tt.removed {
			t.Errorf("%s: added %q, removed %q, want %q and %q", tt.name, added, removed, tt.added, tt.removed)
		}
	}
}
