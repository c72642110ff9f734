package tlsrpt_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	. "postern/tlsrpt"
)

func TestMailHasSubmitterDomainAndFileName(t *testing.T) {
	m := parseMail(t, "testdata/mail/google.eml")
	want := FileName{
		Submitter: "google.com", Domain: "receiver.example", ID: "001",
		Start: time.Date(2025, 3, 10, 0, 0, 0, 0, time.UTC), End: time.Date(2025, 3, 10, 23, 59, 59, 0, time.UTC),
	}
	if m.Domain != "receiver.example" || m.Submitter != "google.com" || m.Name != want {
		t.Errorf("%+v", m)
	}
	if m.FileName != "google.com!receiver.example!1741564800!1741651199!001.json.gz" {
		t.Errorf("file name %q", m.FileName)
	}
}

func TestMailWithoutReportSaysWhy(t *testing.T) {
	const top = "Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n--b\r\n"
	for _, c := range []struct{ mail, fault string }{
		{"", "none found (parts searched: 1)"},
		{"no header\r\n\r\n", "not a TLS report"},
		{"Subject: hello\r\n\r\nhello\r\n", "none found (parts searched: 1)"},
		{top + "\r\nhello\r\n--b--\r\n", "none found (parts searched: 2)"},
		{top + "Content-Type: application/tlsrpt+json\r\n\r\n{}\r\n--b\r\n\r\n{ hello\r\n--b--\r\n", "no array of policies"},
		{top + "Content-Disposition: attachment; filename=.json\r\n\r\nhello\r\n--b--\r\n", "invalid character 'h'"},
		{top + "Content-Disposition: attachment\r\nContent-Type: text/plain; name=a!b.JSON.GZ\r\n\r\nhello\r\n--b--\r\n", "invalid character 'h'"},
		{top + "Content-Disposition: attachment; filename=hello\r\n\r\nhello\r\n--b--\r\n", "none found (parts searched: 2)"},
		{top + "no header\r\n\r\nhello\r\n--b--\r\n", "malformed MIME header"},
		{"Content-Type: message/rfc822\r\n\r\nno header\r\n\r\n", "malformed MIME header"},
		{top + "\r\n{ hello\r\n--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n{}\r\n--b--\r\n", "no array of policies"},
	} {
		m, err := ParseMail(strings.NewReader(c.mail))
		if m != nil || !errors.Is(err, ErrNotReport) || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q: error %v, want one with %q", c.mail, err, c.fault)
		}
	}
}

func TestFirstReportOfAMailIsRead(t *testing.T) {
	const part = "--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n"
	m, err := ParseMail(strings.NewReader("Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		part + `{"report-id":"1","policies":[{}]}` + "\r\n" + part + `{"report-id":"2","policies":[{}]}` + "\r\n--b--\r\n"))
	if err != nil || m.Report.ID != "1" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestReportIsFoundByHowItBegins(t *testing.T) {
	for _, before := range []string{"", "\ufeff", "\r\n\t ", "\ufeff\n"} {
		m, err := ParseMail(strings.NewReader("Content-Type: text/plain; charset=utf-8\r\n\r\n" + before + `{"report-id":"1","policies":[{}]}`))
		if err != nil || m.Report.ID != "1" {
			t.Errorf("after %q: %v", before, err)
		}
	}
}

func TestErrorsOfTheReaderAreWrapped(t *testing.T) {
	broken := iotest.ErrReader(io.ErrClosedPipe)
	if _, err := Parse(broken); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ErrNotReport) {
		t.Error(err)
	}
	if _, err := ParseMail(broken); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ErrNotReport) {
		t.Error(err)
	}
}

func TestParseFileName(t *testing.T) {
	day := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
	named := FileName{"s.example", "d.example", day(1741564800), day(1741651199), "1"}
	anonymous := named
	anonymous.ID = ""
	for name, want := range map[string]FileName{
		"s.example!d.example!1741564800!1741651199!1.json.gz":        named,
		"s.example!d.example!1741564800!1741651199!1.json":           named,
		"S:\\mail\\s.example!d.example!1741564800!1741651199!1.JSON": named,
		"/tmp/s.example!d.example!1741564800!1741651199!1":           named,
		"s.example!d.example!1741564800!1741651199.json.gz":          anonymous,
	} {
		if got, ok := ParseFileName(name); !ok || got != want {
			t.Errorf("%q: %+v, %t", name, got, ok)
		}
	}
	for _, name := range []string{
		"", "report.json.gz", "s!d!1741564800.json", "s!d!1741564800!1741651199!1!2.json", "!d!1741564800!1741651199.json",
		"s!!1741564800!1741651199.json", "s!d!x!1741651199.json", "s!d!1741564800!99999999999999999.json", "s!d!-1!1741651199.json",
	} {
		if got, ok := ParseFileName(name); ok {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

// The error goes to the log of the server that got the mail.
func TestErrorOfAMalformedMailIsShortAndPrintable(t *testing.T) {
	_, err := ParseMail(strings.NewReader("no field \x1b[2J" + strings.Repeat("x", 60_000) + "\r\n\r\ntext\r\n"))
	if !errors.Is(err, ErrNotReport) {
		t.Fatalf("error %v, want ErrNotReport", err)
	}
	text := err.Error()
	quoted, ok := strings.CutPrefix(text, "tlsrpt: mail: not a TLS report: ")
	if !ok || utf8.RuneCountInString(quoted) != 200 || strings.Contains(text, "\x1b") || !strings.Contains(text, "no field") {
		t.Errorf("%d bytes: %.400q", len(text), text)
	}
}
