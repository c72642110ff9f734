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
	if _, err := ParseMail(strings.NewReader(begin + strings.Repeat(part+"{}\r\n", 50) + valid)); !errors.Is(err, ErrNotReport) {
		t.Errorf("a report after 50 false ones: %v", err)
	}
}

func TestPartsMayBeNested8Deep(t *testing.T) {
	const forward, report = "Content-Type: message/rfc822\r\n\r\n", "\r\n" + `{"report-id":"1","policies":[{}]}`
	if _, err := ParseMail(strings.NewReader(strings.Repeat(forward, 8) + report)); err != nil {
		t.Error(err)
	}
	if _, err := ParseMail(strings.NewReader(strings.Repeat(forward, 9) + report)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// endless is a message that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x: y\r\n", 100)), nil }
