package test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/testreport"
)

// october is the report behind https://go.dev/issue/70232.
var october = testreport.Report{
	Submitter: "microsoft.test", Domain: "localhost", ID: "133742101483291477+localhost",
	Day: time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC), Failed: 27,
}

// startReports starts a postern that takes reports in, with more of a configuration.
func startReports(t *testing.T, data, more string) *postern {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postern.toml")
	content := more + "\n[web]\nlisten = [\"127.0.0.1:0\"]\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWith(t, data, "--config", file)
}

func reportMail(text string) mail {
	return mail{from: "tlsrpt@microsoft.test", to: []string{"tls-reports@localhost"}, text: text}
}

// A keptReport is what postern report list tells of one.
type keptReport struct {
	Report    int64
	Via       string
	Trusted   bool
	Signer    string
	Submitter string
	ReportID  string `json:"report_id"`
	Failed    int64
	Versions  int64
	Warnings  []string
}

// reports are those that are kept, in the order in which they came.
func (p *postern) reports(t *testing.T) (all []keptReport) {
	t.Helper()
	out, status := runPostern(t, "report", "list", "--json", "--since", "2000-01-01", "--limit", "10000", "--data", p.data)
	if status != 0 {
		t.Fatal(out)
	}
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var r keptReport
		if err := decoder.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		all = append(all, r)
	}
	byID := make([]keptReport, len(all))
	for _, r := range all {
		byID[r.Report-1] = r
	}
	return byID
}

// awaitReports waits until n reports are kept.
func (p *postern) awaitReports(t *testing.T, n int) []keptReport {
	t.Helper()
	if err := p.journal.awaitCount(n, "TLS report is kept"); err != nil {
		t.Fatal(err)
	}
	return p.reports(t)
}

// post sends a body to the web listener and returns the status.
func (p *postern) post(t *testing.T, kind string, body []byte) int {
	t.Helper()
	addr := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(p.await(0, "(HTTPS)"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Post("https://"+addr+"/tls-reports", kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// bomb is a gzip of that many zeros.
func bomb(size int64) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	block := make([]byte, 1<<20)
	for range size >> 20 {
		z.Write(block)
	}
	z.Close()
	return b.Bytes()
}

// nested is a mail whose parts lie within each other.
func nested(depth int) string {
	var b strings.Builder
	for n := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", n, n)
	}
	return b.String()
}
