package ledger

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// long is a report with a text of 100,000 characters in each place.
var long = regexp.MustCompile(`LONG`).ReplaceAllString(`{"organization-name":"LONG1","contact-info":"LONG2","report-id":"LONG3","x":"LONG4","LONG5":6,"policies":[
	{"policy":{"policy-type":"LONG7","policy-string":["LONG8","v"],"policy-domain":"LONG9","mx-host":["LONG10"],"y":["LONG11"]},"z":{"a":"LONG12"},
	"summary":{"total-failure-session-count":2},"failure-details":[{"result-type":"LONG13","receiving-mx-hostname":"LONG14","receiving-mx-helo":"LONG15",
	"failed-session-count":2,"additional-information":"LONG16","failure-reason-code":"LONG17","receiving-ip":"LONG18"}]}]}`, strings.Repeat("ä", 50_000))

func TestShortenedReportSaysHowManyTextsAreCut(t *testing.T) {
	t.Parallel()
	all := strings.Repeat("x", 1<<20)
	r, err := Report{Content: []byte(long), Submitter: all, Organization: all, ReportID: all, Domains: []string{all}, Warnings: []string{"first"}}.Shortened()
	if err != nil {
		t.Fatal(err)
	}
	if want := "texts of more than 1000 bytes are cut here: 17"; len(r.Warnings) != 2 || r.Warnings[0] != want || r.Warnings[1] != "first" {
		t.Errorf("warnings %q, want %q", r.Warnings, want)
	}
	if len(r.Submitter)+len(r.Organization)+len(r.ReportID)+len(r.Domains[0]) > 4*255 || len(r.Content) > 20<<10 {
		t.Errorf("%d bytes of content", len(r.Content))
	}
	content, err := r.Parse()
	if err != nil || content.Policies[0].FailedSessions() != 2 || content.Policies[0].Policy.Strings[1] != "v" {
		t.Errorf("%v: %+v", err, content)
	}
	if n := bytes.Count(r.Content, []byte("ää…")); n != 17 || !json.Valid(r.Content) {
		t.Errorf("%d texts end in an ellipsis", n)
	}
}

func TestReportOfShortTextsIsShownAsItIs(t *testing.T) {
	t.Parallel()
	const text = `{"organization-name":"a", "report-id":"1","policies":[],"x":[1, 2]}`
	want := Report{Content: []byte(text), Organization: "a"}
	if r, err := want.Shortened(); err != nil || string(r.Content) != text || len(r.Warnings) != 0 || r.Organization != "a" {
		t.Errorf("%v: %+v", err, r)
	}
}
