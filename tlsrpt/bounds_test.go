package tlsrpt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	. "postern/tlsrpt"
)

func TestParseRejectsWhatExceedsItsLimits(t *testing.T) {
	const begin = `{"report-id":"1","policies":[{}],"x":`
	for name, text := range map[string]string{
		"a gigabyte in a megabyte of gzip": string(bomb(t)),
		"bytes":                            begin + `"` + strings.Repeat("a", MaxReportSize) + `"}`,
		"depth":                            begin + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
		"depth of objects":                 begin + strings.Repeat(`{"x":`, 10_000) + "1" + strings.Repeat("}", 10_000) + "}",
		"failures":                         `{"report-id":"1","policies":[{"failure-details":[{}` + strings.Repeat(",{}", 1_000_000) + `]}]}`,
	} {
		if _, err := Parse(strings.NewReader(text)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each limit is kept by a report that reaches it, and passed by one that goes one further.
func TestReportsAtTheirLimits(t *testing.T) {
	const begin = `{"report-id":"1","policies":[{}],"x":`
	nested := func(n int) string { return begin + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	values := func(n int) string { return begin + "[1" + strings.Repeat(",1", n-7) + "]}" }
	ofSize := func(n int) string { return begin + `"` + strings.Repeat("a", n-len(begin)-3) + `"}` }
	for name, text := range map[string]string{"32 levels": nested(32), "200,000 values": values(200_000), "8 MiB": ofSize(8388608)} {
		if _, err := Parse(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for fault, text := range map[string]string{
		"JSON nested more than 32 deep": nested(33), "JSON of more than 200000 values": values(200_001), "report of more than 8388608 bytes": ofSize(8388609),
	} {
		if _, err := Parse(strings.NewReader(text)); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

// A backslash hides the character after it, and no more.
func TestEscapesInStringsHideNoNesting(t *testing.T) {
	deep := strings.Repeat("[", 33) + strings.Repeat("]", 33) + "}"
	for _, escaped := range []string{`a\"b`, `a\\`, `\\\"`, `\n`} {
		text := `{"report-id":"` + escaped + `","policies":[{}],"x":`
		if _, err := Parse(strings.NewReader(text + "1}")); err != nil {
			t.Errorf("%s: %v", escaped, err)
		}
		if _, err := Parse(strings.NewReader(text + deep)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", escaped, err)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	report, err := Parse(strings.NewReader(`{"report-id":"1","policies":[{}` + strings.Repeat(",{}", 1000) + `]}`))
	if err != nil || len(report.Warnings) != 101 || report.Warnings[100].String() != "further warnings were dropped" {
		t.Errorf("%d warnings, %v", len(report.Warnings), err)
	}
}

// bomb is a gigabyte of spaces in a megabyte of gzip.
func bomb(t *testing.T) []byte {
	t.Helper()
	member := zip(t, bytes.Repeat([]byte(" "), 1<<24))
	return bytes.Repeat(member, 1<<6) // concatenated gzip members are one file
}

// The most expensive report within the limits.
func TestLargestReportFitsInMemory(t *testing.T) {
	text := `{"report-id":"1","policies":[{"failure-details":[{}` + strings.Repeat(",{}", 99_000) + `]}]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := Parse(strings.NewReader(text))
	runtime.ReadMemStats(&after)
	if err != nil || len(report.Policies[0].Failures) != 99_001 {
		t.Fatal(err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<20 {
		t.Errorf("%d MiB allocated", allocated>>20)
	}
	if len(report.Warnings) > 101 {
		t.Errorf("%d warnings", len(report.Warnings))
	}
}

func TestBracketsInStringsAreNotNesting(t *testing.T) {
	text := `{"report-id":"` + strings.Repeat(`[{\"`, 100_000) + `","policies":[{}]}`
	if _, err := Parse(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

func TestAbsurdNumbersAreBounded(t *testing.T) {
	report := parseFile(t, "testdata/absurd_numbers.json")
	result := report.Policies[0]
	if result.Successful != 0 || result.Failed != 1e12 || result.Failures[0].Sessions != 1e12 {
		t.Errorf("%+v", result)
	}
	if !report.End.IsZero() || report.Start.IsZero() {
		t.Errorf("from %v to %v", report.Start, report.End)
	}
}

func TestParseMailRejectsWhatExceedsItsLimits(t *testing.T) {
	parts := "Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n" +
		strings.Repeat("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", 1000) + "--b--\r\n"
	var nested strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for name, mail := range map[string]io.Reader{
		"1000 parts":                strings.NewReader(parts),
		"1000 parts in one another": strings.NewReader(nested.String()),
		"1000 mails in one another": strings.NewReader(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 1000)),
		"no end":                    endless{},
		"500,001 lines":             strings.NewReader("A: b\r\n" + strings.Repeat("\r\n", 500_000)),
		"a gzip of a gigabyte":      io.MultiReader(strings.NewReader("Content-Type: application/tlsrpt+gzip\r\n\r\n"), bytes.NewReader(bomb(t))),
	} {
		m, err := ParseMail(mail)
		if m != nil || !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMailWithManyFalseCandidatesIsRejected(t *testing.T) {
	const begin, part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n"
	const valid = part + `{"report-id":"1","policies":[{}]}` + "\r\n--b--\r\n"
	if _, err := ParseMail(strings.NewReader(begin + strings.Repeat(part+"{}\r\n", 3) + valid)); err != nil {
		t.Errorf("a report after 3 false ones: %v", err)
	}
	if _, err := ParseMail(strings.NewReader(begin + strings.Repeat(part+"{}\r\n", 4) + valid)); !errors.Is(err, ErrNotReport) {
		t.Errorf("a report after 4 false ones: %v", err)
	}
}

func TestPartsMayBeNested8Deep(t *testing.T) {
	const forward = "Content-Type: message/rfc822\r\n\r\nContent-Type: message/global\r\n\r\n" // RFC 6532, Section 3.7
	const report = "\r\n" + `{"report-id":"1","policies":[{}]}`
	if _, err := ParseMail(strings.NewReader(strings.Repeat(forward, 4) + report)); err != nil {
		t.Error(err)
	}
	if _, err := ParseMail(strings.NewReader(strings.Repeat(forward, 4) + "Content-Type: message/rfc822\r\n\r\n" + report)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestMultipartsMayBeNested8Deep(t *testing.T) {
	nested := func(levels int) string {
		var b strings.Builder
		for i := range levels {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		b.WriteString("Content-Type: application/tlsrpt+json\r\n\r\n" + `{"report-id":"1","policies":[{}]}` + "\r\n")
		for i := range levels {
			fmt.Fprintf(&b, "--b%d--\r\n", levels-1-i)
		}
		return b.String()
	}
	if _, err := ParseMail(strings.NewReader(nested(8))); err != nil {
		t.Error(err)
	}
	if _, err := ParseMail(strings.NewReader(nested(9))); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "nested more than 8 deep") {
		t.Error(err)
	}
}

func TestMailsAtTheirLimits(t *testing.T) {
	const report = "Content-Type: application/tlsrpt+json\r\n\r\n" + `{"report-id":"1","policies":[{}]}` + "\r\n"
	parts := func(n int) string { // the message is one of them
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n-2) + "--b\r\n" + report + "--b--\r\n"
	}
	lines := func(n int) string { return report + strings.Repeat("\n", n-3) }
	ofSize := func(n int) string { // most of it in a part after the report
		begin := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + report + "--b\r\n\r\n"
		return begin + strings.Repeat("x", n-len(begin))
	}
	for name, mail := range map[string]string{"100 parts": parts(100), "500,000 lines": lines(500_000), "12 MiB": ofSize(12582912)} {
		if _, err := ParseMail(strings.NewReader(mail)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for fault, mail := range map[string]string{
		"more than 100 parts": parts(101), "more than 500000 lines": lines(500_001), "more than 12582912 bytes": ofSize(12582913),
		"report of more than 8388608 bytes": "Content-Type: application/tlsrpt+json\r\n\r\n" + strings.Repeat("x", 8388609),
	} {
		if _, err := ParseMail(strings.NewReader(mail)); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

// endless is a message that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x: y\r\n", 100)), nil }
