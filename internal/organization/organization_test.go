package organization

import (
	"slices"
	"strings"
	"testing"
)

func TestOrganizationIsTheRegisteredDomain(t *testing.T) {
	for _, test := range []struct {
		confirmed, ehlo string
		want            Organization
	}{
		{"mail-bn8nam12on2060.outbound.protection.outlook.com.", "NAM12-BN8-obe.outbound.protection.outlook.com", Organization{"outlook.com", ReverseDNS}},
		{"", "NAM12-BN8-obe.outbound.protection.OUTLOOK.COM", Organization{"outlook.com", EHLO}},
		{"mail.other.example", "mail-wm1-f45.google.com", Organization{"other.example", ReverseDNS}}, // a forged EHLO
		{"", "mx.shop.co.uk", Organization{"shop.co.uk", EHLO}},
		{"", "mail.xn--bcher-kva.example", Organization{"xn--bcher-kva.example", EHLO}},

		// Names of no organization.
		{"", "", Organization{}},
		{"", "localhost", Organization{}},
		{"", "localhost.localdomain", Organization{}},
		{"", "WIN-4F2K.corp.local", Organization{}},
		{"", "[192.0.2.7]", Organization{}},
		{"", "192.0.2.7", Organization{}},
		{"", "co.uk", Organization{}},
		{"ec2-192-0-2-7.compute-1.amazonaws.com", "", Organization{}}, // everybody's
		{"ec2-192-0-2-7.compute-1.amazonaws.com", "mail.sender.example", Organization{"sender.example", EHLO}},
		{"", "a..example", Organization{}},
		{"", "<script>.example", Organization{}},
		{"", strings.Repeat("a", 64) + ".example", Organization{}},
		{"", strings.Repeat("a.", 130) + "example", Organization{}},
	} {
		if got := Of(test.confirmed, test.ehlo); got != test.want {
			t.Errorf("%q, %q: %+v, want %+v", test.confirmed, test.ehlo, got, test.want)
		}
	}
}

func TestLabelsAreAFixedList(t *testing.T) {
	for host, want := range map[string]string{
		"o1.ptr.sendgrid.net": "sendgrid", "st43p00im-ztdg.me.com": "apple", "mail.sender.example": Other, "": Other,
		"outlook.com.sender.example": Other, "xoutlook.com": Other, "x.protection.outlook.com": "outlook.com",
	} {
		if got := Of("", host).Label(); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
	all := Labels()
	if !slices.Contains(all, "google") || !slices.Contains(all, Other) {
		t.Errorf("labels: %v", all)
	}
	if slices.Sort(all); len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("a label is listed twice: %v", all)
	}
	for _, known := range wellKnown {
		if registered(known.domain) != known.domain {
			t.Errorf("%s is no registered domain", known.domain)
		}
		if !slices.Contains(all, known.label) || !strings.HasPrefix(known.source, "https://") && !strings.HasPrefix(known.source, "TXT ") {
			t.Errorf("%+v has no source or is not listed", known)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("mail.sender.example", "")
	f.Add("", "mx.a.co.uk.")
	f.Fuzz(func(t *testing.T, confirmed, ehlo string) {
		o := Of(confirmed, ehlo)
		if (o.Domain == "") != (o.By == "") || !isHostName(o.Domain) && o.Domain != "" {
			t.Errorf("%+v", o)
		}
		if o.Domain != "" && registered("host."+o.Domain) != o.Domain && len(o.Domain) < maxName-5 {
			t.Errorf("a host of %s is in %s", o.Domain, registered("host."+o.Domain))
		}
	})
}
