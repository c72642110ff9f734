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

// section is a part of the benchmark.
type section struct {
	name    string
	title   string
	text    string // what is compared, and how
	measure func(*stage, plan, *result) error
}

// sectionBefore is the section that needs a revision.
const sectionBefore = "before"

// sections are all there are, in the order of the report.
var sections = []section{
	{
		name:  "maildir",
		title: "Maildir beside Postfix",
		text: `Postern stores to a Maildir; so does Postfix, with its own ` + "`virtual`" + ` delivery. Rates
count until the last message lies in the Maildir: Postfix answers 250 when a message is in its queue and delivers afterwards, so
the rate of its answers alone is shown too. With one fresh connection at once Postfix
takes some 40 ms for each, as long as a delayed acknowledgement; it does not for one that resumes, which is sent no new ticket. "Disk alone" creates a file of 4 KiB, syncs it, renames it and
syncs the folder, with as many writers as there are connections and no mail at all. After each load every
acknowledged message must lie in the Maildir once, whole to the last byte.`,
		measure: measureMaildir,
	},
	{
		name:  "cutthrough",
		title: "Cut-through beside nginx and go-smtp",
		text: `Postern and nginx's mail proxy pass messages on to the same ` + "`smtp-sink`" + `, which must have counted as many
as were acknowledged. It offers no XCLIENT, so that both do the same work. nginx waits about 44 ms in each message,
whatever the load: small writes and delayed acknowledgements. Offering PIPELINING or a larger ` + "`proxy_buffer`" + `
did not change that. go-smtp takes them itself and throws them away: there is no backend behind it, and it checks nothing.`,
		measure: measureCutThrough,
	},
	{
		name:  "latency",
		title: "Time that cut-through adds",
		text: `Median time of a message from MAIL to the answer to its text, one sender; the backend directly
is spoken to without TLS, since ` + "`smtp-sink`" + ` has none. With one message a connection Postern opens its connection to the
backend within that time.`,
		measure: measureLatency,
	},
	{
		name:    "idle",
		title:   "Memory of idle sessions",
		text:    `Resident memory of the server with sessions that have done STARTTLS and EHLO and say nothing more, measured right after the last came.`,
		measure: measureIdle,
	},
	{
		name:    "large",
		title:   "Memory of a large message",
		text:    `Peak of the server's resident memory while a message passes through to ` + "`smtp-sink`" + `, after a load of small ones.`,
		measure: measureLarge,
	},
	{
		name:  "handshake",
		title: "CPU of handshakes",
		text: `The server's own CPU time, user and system, for a session with EHLO and QUIT and no message: first without
TLS, then what STARTTLS adds to it (a second EHLO, the handshake, and the ticket among it).`,
		measure: measureHandshake,
	},
	{
		name:  "gate",
		title: "The gate by itself",
		text: `The benchmarks of package sessionticket: client and server in one process over loopback, with and without the
gate in turns. A handshake's time is that of both sides.`,
		measure: measureGate,
	},
	{
		name:  "recording",
		title: "Recording by itself",
		text: `The benchmarks of package handshake: client and server in one process over loopback, with the server's handshake recorded
and not, in turns, up to the first reply over TLS.`,
		measure: measureRecording,
	},
	{
		name:    sectionBefore,
		title:   "Postern beside what it was",
		text:    `Both pass messages on to the same ` + "`smtp-sink`" + `, with the same configuration.`,
		measure: measureBefore,
	},
}

// perform runs a section. What went wrong stands in the result.
func (s section) perform(p plan) *result {
	fmt.Fprintf(os.Stderr, "== %s\n", s.title)
	r := &result{section: s}
	r.err = play(func(st *stage) error { return s.measure(st, p, r) })
	if r.err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, r.err)
	}
	return r
}
