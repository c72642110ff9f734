// Command bench measures Postern beside Postfix, nginx and go-smtp on this
// machine, all in one run, and writes bench/RESULTS.md.
//
//	go run ./bench                  everything, some twelve minutes
//	go run ./bench -quick           a look at everything, no file
//	go run ./bench -only maildir    some sections (a regular expression), no file
//	go run ./bench -before v1.2     beside an earlier revision of Postern, no file
//
// It needs root and what scripts/install-peers installs. Temporary files go to
// TMPDIR, which must lie on a real disk.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

// plan says how much is measured.
type plan struct {
	rounds      int
	warm, time  time.Duration // of one load
	idle        int           // sessions
	handshakes  int           // of one load
	only        *regexp.Regexp
	before      string // a revision; empty: that section is left out
	destination string // no file if empty
}

func main() {
	p := parseFlags()
	report := newReport(p)
	for _, s := range sections {
		if p.wants(s) {
			report.add(s.perform(p))
		}
	}
	text := report.markdown()
	fmt.Print(text)
	if p.destination != "" {
		if err := os.WriteFile(p.destination, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if report.failed() {
		os.Exit(1)
	}
}

// wants reports whether a section is to be performed.
func (p plan) wants(s section) bool {
	if p.before != "" {
		return s.name == sectionBefore
	}
	return s.name != sectionBefore && p.only.MatchString(s.name)
}

func parseFlags() plan {
	p := plan{warm: 300 * time.Millisecond, idle: 10_000, handshakes: 1000}
	quick := flag.Bool("quick", false, "one short round of each load; writes no file")
	only := flag.String("only", "", "the sections whose names match this regular expression; writes no file")
	flag.StringVar(&p.before, "before", "", "compare with Postern as it was at this revision, and nothing else; writes no file")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds of each load")
	flag.DurationVar(&p.time, "time", 1500*time.Millisecond, "time of each load")
	flag.StringVar(&p.destination, "o", "bench/RESULTS.md", "file to write")
	flag.Parse()
	if *quick {
		p.rounds, p.time, p.idle, p.handshakes = 1, 500*time.Millisecond, 1000, 500
	}
	if *quick || *only != "" || p.before != "" {
		p.destination = ""
	}
	var err error
	if p.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	return p
}
