package tlsrpt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "postern/tlsrpt"
)

// Oddities that no fixture has, each with its warning.
func TestWarningsNameFieldAndFault(t *testing.T) {
	for report, want := range map[string]string{
		`"date-range":{"start-datetime":"2025-03-11T00:00:00Z","end-datetime":"2025-03-10T00:00:00Z"}`: "date-range: ends before it starts",
		`"date-range":{"start-datetime":"2025-03-10 00:00:00Z"}`:                                       `date-range.start-datetime: has a space instead of "T"`,
		`"date-range":{"end-datetime":"2025-03-10"}`:                                                   "date-range.end-datetime: has no time: read as 00:00 UTC",
		`"date-range":{"end-datetime":"1999-12-31T00:00:00Z"}`:                                         `date-range.end-datetime: "1999-12-31T00:00:00Z" is not a plausible date: kept as is`,
		`"date-range":{"end-datetime":"2100-01-01T00:00:00Z"}`:                                         `date-range.end-datetime: "2100-01-01T00:00:00Z" is not a plausible date: kept as is`,
		`"date-range":7`:      "date-range: is not an object: kept as is",
		`"contact-info":null`: "contact-info: is null",
		`"report-id":"a+"`:    `report-id: ends in "+" without a domain after it`,
		`"policies":[]`:       "policies: is an empty array",
		`"policies":[{"summary":{"total-failure-session-count":3}}]`:                "policies[0].failure-details: are missing for 3 failed sessions",
		`"policies":[{"policy":{"policy-string":7}}]`:                               "policies[0].policy.policy-string: is not an array of strings: kept as is",
		`"policies":[{"failure-details":[{"sending-mta-ip":"fe80::1%eth0"}]}]`:      `policies[0].failure-details[0].sending-mta-ip: "fe80::1%eth0" is not an IP address: kept as is`,
		`"policies":[{"failure-details":[{"failed-session-count":1000000000001}]}]`: `policies[0].failure-details[0].failed-session-count: "1000000000001" is too large: read as 1000000000000`,
		`"policies":[{"failure-details":[{"receiving-mx-hostname":"mx"}]}]`:         "policies[0].failure-details[0]: has no addresses",
	} {
		if !strings.Contains(report, `"policies"`) {
			report += `,"policies":[{}]`
		}
		if !strings.Contains(report, `"report-id"`) {
			report += `,"report-id":"1"`
		}
		got, err := Parse(strings.NewReader("{" + report + "}"))
		if err != nil {
			t.Errorf("%s: %v", report, err)
		} else if !slices.ContainsFunc(got.Warnings, func(w Warning) bool { return w.String() == want }) {
			t.Errorf("%s:\n%v\nlacks %s", report, got.Warnings, want)
		}
	}
}

// What is right has no warning, at the bounds too.
func TestNoWarningWithoutReason(t *testing.T) {
	const report = `{"organization-name":"a","contact-info":"b","report-id":"c",` +
		`"date-range":{"start-datetime":"%s","end-datetime":"%s"},"policies":[{` +
		`"policy":{"policy-type":"no-policy-found","policy-domain":"d"},` +
		`"summary":{"total-successful-session-count":0,"total-failure-session-count":1000000000000},` +
		`"failure-details":[{"result-type":"dane-required","sending-mta-ip":"[192.0.2.1]","failed-session-count":1000000000000}]}]}`
	for _, span := range [][2]string{
		{"2000-01-01T00:00:00Z", "2099-12-31T23:59:59Z"},
		{"2025-03-10T00:00:00Z", "2025-03-10T00:00:00Z"},
	} {
		got, err := Parse(strings.NewReader(fmt.Sprintf(report, span[0], span[1])))
		if err != nil || got.Warnings != nil || got.Policies[0].Failed != 1e12 {
			t.Errorf("%v: %+v, %v", span, got, err)
		}
	}
}

// A mail and its report may write one domain in two ways.
func TestMailIsAboutTheDomainOfItsReport(t *testing.T) {
	for _, c := range []struct {
		mail, report string
		warned       bool
	}{
		{"d.example", "d.example", false}, {"D.Example", "d.example", false}, {"d.example.", "d.example", false}, {"d.example", "d.example.", false},
		{"d.example", "e.example", true}, {"d.example", "", false},
	} {
		m, err := ParseMail(strings.NewReader("TLS-Report-Domain: " + c.mail + "\r\nContent-Type: application/tlsrpt+json\r\n\r\n" +
			`{"report-id":"1","policies":[{"policy":{"policy-type":"sts","policy-domain":"` + c.report + `"}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(m.Warnings, func(w Warning) bool { return strings.HasSuffix(w.Text, "but the report is about other domains") })
		if got != c.warned {
			t.Errorf("mail about %q, report about %q: %v", c.mail, c.report, m.Warnings)
		}
	}
}

// RFC 8460, Section 5.3: the message is a multipart/report of the type tlsrpt.
func TestMailOfAnotherTypeHasAWarning(t *testing.T) {
	const part = "--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + `{"report-id":"1","policies":[{}]}` + "\r\n--b--\r\n"
	for contentType, warned := range map[string]bool{
		"multipart/report; report-type=tlsrpt; boundary=b":          false,
		"Multipart/Report; Report-Type=\"TLSRPT\"; boundary=b":      false,
		"multipart/mixed; report-type=tlsrpt; boundary=b":           true,
		"multipart/report; boundary=b":                              true,
		"multipart/report; report-type=delivery-status; boundary=b": true,
	} {
		m, err := ParseMail(strings.NewReader("TLS-Report-Domain: d\r\nContent-Type: " + contentType + "\r\n\r\n" + part))
		if err != nil {
			t.Errorf("%s: %v", contentType, err)
			continue
		}
		got := slices.ContainsFunc(m.Warnings, func(w Warning) bool { return strings.HasSuffix(w.Text, " is not multipart/report; report-type=tlsrpt") })
		if got != warned {
			t.Errorf("%s: %v", contentType, m.Warnings)
		}
		if missing := slices.Contains(m.Warnings, Warning{Field: "TLS-Report-Submitter", Text: "is missing"}); !missing {
			t.Errorf("%s: %v", contentType, m.Warnings)
		}
	}
}
