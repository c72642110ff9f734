// Package testreport makes TLS reports for tests and the demo, as senders mail them: signed with DKIM,
// and with a DNS server for the keys.
package testreport

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// T is the part of [testing.TB] that the package uses.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// A Report is a report with one policy.
type Report struct {
	Submitter  string // a domain
	Domain     string // the policy domain
	ID         string
	Day        time.Time // in UTC
	Successful int
	Failed     int    // as validation-failure
	SendingMTA string // of the failures; may be empty
}

// JSON returns the report as Microsoft formats it (RFC 8460, Section 4.4).
func (r Report) JSON() string {
	day := r.Day.UTC().Truncate(24 * time.Hour)
	details := ""
	if r.Failed > 0 {
		mta := ""
		if r.SendingMTA != "" {
			mta = fmt.Sprintf(`"sending-mta-ip":%q,`, r.SendingMTA)
		}
		details = fmt.Sprintf(`,"failure-details":[{"result-type":"validation-failure",%s"failed-session-count":%d}]`, mta, r.Failed)
	}
	return fmt.Sprintf(`{"organization-name":%q,"date-range":{"start-datetime":%q,"end-datetime":%q},"contact-info":"tlsrpt@%s","report-id":%q,`+
		`"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce"],"policy-domain":%q},`+
		`"summary":{"total-successful-session-count":%d,"total-failure-session-count":%d}%s}]}`,
		r.Submitter, day.Format(time.RFC3339), day.Add(24*time.Hour-time.Second).Format(time.RFC3339), r.Submitter, r.ID,
		r.Domain, r.Successful, r.Failed, details)
}

// Mail returns a message with the report (RFC 8460, Section 5.3), without a signature.
func (r Report) Mail() string {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(r.JSON()))
	z.Close()
	return r.MailWith("application/tlsrpt+gzip", zipped.Bytes())
}

// MailWith returns a message with an attachment of the given type in place of the report.
func (r Report) MailWith(kind string, attachment []byte) string {
	name := fmt.Sprintf("%s!%s!%d!%d!%s.json.gz", r.Submitter, r.Domain, r.Day.Unix(), r.Day.Unix()+86399, r.ID)
	lines := []string{
		"From: tlsrpt@" + r.Submitter,
		"To: tls-reports@" + r.Domain,
		"Date: " + r.Day.Add(27*time.Hour).Format(time.RFC1123Z),
		"Message-ID: <" + r.ID + "@" + r.Submitter + ">",
		"TLS-Report-Domain: " + r.Domain,
		"TLS-Report-Submitter: " + r.Submitter,
		"Subject: Report Domain: " + r.Domain + " Submitter: " + r.Submitter + " Report-ID: <" + r.ID + ">",
		"MIME-Version: 1.0",
		`Content-Type: multipart/report; report-type=tlsrpt; boundary="b1"`,
		"",
		"--b1",
		"Content-Type: text/plain",
		"",
		"This is an aggregate TLS report.",
		"--b1",
		"Content-Type: " + kind,
		`Content-Disposition: attachment; filename="` + name + `"`,
		"Content-Transfer-Encoding: base64",
		"",
	}
	encoded := base64.StdEncoding.EncodeToString(attachment)
	for len(encoded) > 76 {
		lines, encoded = append(lines, encoded[:76]), encoded[76:]
	}
	return strings.Join(append(lines, encoded, "--b1--", ""), "\r\n")
}
