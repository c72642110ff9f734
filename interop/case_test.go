package interop_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/interop"
)

var (
	kebabCase = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	date      = regexp.MustCompile(`^(|20\d\d(-\d\d(-\d\d)?)?)$`)
	sentence  = regexp.MustCompile(`[.!?](\s|$)`)
)

func TestCatalogueIsComplete(t *testing.T) {
	if n := len(interop.Cases()); n < 16 {
		t.Errorf("%d cases", n)
	}
	if first := interop.Cases()[0].ID; first != "early-ticket" {
		t.Errorf("the first case is %s", first)
	}
	seen := make(map[string]bool)
	for _, c := range interop.Cases() {
		if got, ok := interop.Find(c.ID); !ok || got != c || seen[c.ID] {
			t.Errorf("%s is found as %v, %v, or is there twice", c.ID, got, ok)
		}
		seen[c.ID] = true
		checkTexts(t, c)
	}
	if _, ok := interop.Find("no-such-case"); ok {
		t.Error("found a case that is none")
	}
}

func checkTexts(t *testing.T, c *interop.Case) {
	t.Helper()
	if !kebabCase.MatchString(c.ID) {
		t.Errorf("ID %q", c.ID)
	}
	if c.Title == "" || strings.HasSuffix(c.Title, ".") || len(c.Title) > 80 || c.Clients == "" || c.Since == "" {
		t.Errorf("%s: title %q, who %q, since %q", c.ID, c.Title, c.Clients, c.Since)
	}
	if n := len(sentence.FindAllString(c.Explanation, -1)); n < 2 || n > 5 {
		t.Errorf("%s: the explanation has %d sentences, want 2 to 5", c.ID, n)
	}
	if c.Remedy.Postern == "" || c.Remedy.Sender == "" || len(c.Remedy.OtherSoftware) == 0 {
		t.Errorf("%s lacks a remedy", c.ID)
	}
	for _, a := range c.Remedy.OtherSoftware {
		if a.Software == "" || a.Action == "" {
			t.Errorf("%s: advice %+v", c.ID, a)
		}
	}
	if len(c.Sources) == 0 {
		t.Errorf("%s has no source", c.ID)
	}
	for _, s := range c.Sources {
		if u, err := url.Parse(s.URL); err != nil || u.Scheme != "https" || u.Host == "" || !date.MatchString(s.Date) || !strings.HasSuffix(s.Summary, ".") {
			t.Errorf("%s: source %+v", c.ID, s)
		}
	}
	// RFC 8446, Section 4.6.1 allows an early ticket in a note.
	if strings.Contains(strings.ToLower(c.Explanation), "violat") {
		t.Errorf("%s blames", c.ID)
	}
}

func TestConfidenceIsReadAsWords(t *testing.T) {
	for confidence, want := range map[interop.Confidence]string{
		1: "almost certain", 0.95: "almost certain", 0.9: "almost certain", 0.89: "likely", 0.6: "likely", 0.59: "possible", 0.3: "possible", interop.LessLikely: "less likely",
	} {
		if got := confidence.String(); got != want {
			t.Errorf("%.2f is %q, want %q", float64(confidence), got, want)
		}
	}
}
