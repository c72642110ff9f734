package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// A junitSuite is a target in JUnit's XML. Its cases are the findings and the senders that
// can deliver.
type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Failure *junitText `xml:"failure,omitempty"`
	Error   *junitText `xml:"error,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes the results for all targets to a file.
func writeJUnit(ui terminal.UI, path string, suites []junitSuite) error {
	document := struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}{Suites: suites}
	content, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append([]byte(xml.Header), append(content, '\n')...), 0o644); err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	ui.Note("wrote the findings as JUnit XML to " + path)
	return nil
}

func suite(target string, result probed) junitSuite {
	s := junitSuite{Name: safetext.Printable(target)}
	if result.err != nil {
		s.add(junitCase{Class: s.Name, Name: "target", Error: &junitText{Message: safetext.Printable(result.err.Error())}})
		return s
	}
	s.Time = fmt.Sprintf("%.3f", result.report.Duration.Seconds())
	s.findings(s.Name, result.report.Findings)
	for _, h := range result.report.Hosts {
		for _, a := range h.Addresses {
			class := safetext.Printable(h.Name) + " " + a.Addr.String()
			s.findings(class, a.Findings)
			for _, v := range a.Runs {
				if v.Outcome == probe.Completed || v.Outcome == probe.Refused {
					s.add(junitCase{Class: class, Name: v.Persona.ID})
				}
			}
		}
	}
	return s
}

func (s *junitSuite) findings(class string, all []probe.Finding) {
	for _, f := range all {
		c := junitCase{Class: class, Name: f.ID}
		text := &junitText{Message: f.Title, Text: safetext.Printable(strings.Join(f.Evidence, "; "))}
		switch {
		case f.Severity >= probe.Warning:
			c.Failure = text
		case f.Severity == probe.Unclear:
			c.Error = text
		}
		s.add(c)
	}
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}
