package tlsrpt_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "postern/tlsrpt"
)

var update = flag.Bool("update", false, "write the .warnings files anew")

// TestOdditiesAreWarnedOf reads each fixture, which has one sender's oddity, and holds its
// warnings against the file beside it.
func TestOdditiesAreWarnedOf(t *testing.T) {
	for _, file := range fixtures(t, "testdata/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			report := parseFile(t, file)
			compare(t, file, report.Warnings)
			sameAgain(t, report)
		})
	}
}

func TestReportIsFoundInOddMails(t *testing.T) {
	for _, file := range fixtures(t, "testdata/mail/*.eml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := parseMail(t, file)
			compare(t, file, m.Warnings)
			if len(m.Report.Policies) != 1 || m.Report.Policies[0].Policy.Domain != "receiver.example" {
				t.Errorf("read %+v", m.Report)
			}
		})
	}
}

func fixtures(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	return files
}

func compare(t *testing.T, file string, warnings []Warning) {
	t.Helper()
	var got strings.Builder
	for _, w := range warnings {
		got.WriteString(w.String() + "\n")
	}
	golden := strings.TrimSuffix(file, filepath.Ext(file)) + ".warnings"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || got.String() != string(want) {
		t.Errorf("warnings (%v)\n%s\nwant\n%s", err, got.String(), want)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseFile(t testing.TB, file string) *Report {
	t.Helper()
	report, err := Parse(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func parseMail(t testing.TB, file string) *Mail {
	t.Helper()
	m, err := ParseMail(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
