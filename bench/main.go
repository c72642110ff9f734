// Command bench compares Postern with Postfix, nginx, go-smtp and bench/floor on this machine in
// one run, and writes bench/RESULTS.md.
//
//	go run ./bench                  everything, about twelve minutes
//	go run ./bench -quick           everything briefly, no file
//	go run ./bench -only maildir    some sections (a regular expression), no file
//	go run ./bench -before v1.2     an earlier revision of Postern, no file
//
// It needs root and the programs that scripts/install-peers installs. Temporary files go to
// TMPDIR, which must be on a real disk.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"postern/internal/testpeer"
)

// A plan is how much is measured.
type plan struct {
	quick       bool
	rounds      int
	warm, time  time.Duration // of one load
	idle        int           // sessions
	handshakes  int           // of one load
	only        *regexp.Regexp
	before      string // a revision to compare with; empty: none
	destination string // file to write; empty: none
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

// wants reports whether a section is to be measured.
func (p plan) wants(s section) bool {
	if p.before != "" {
		return s.name == sectionBefore
	}
	return s.name != sectionBefore && p.only.MatchString(s.name)
}

func parseFlags() plan {
	p := plan{warm: 300 * time.Millisecond, idle: 10_000, handshakes: 2000}
	flag.BoolVar(&p.quick, "quick", false, "Measure one short round of each load; write no file.")
	only := flag.String("only", "", "Measure the sections whose names match this regular expression; write no file.")
	flag.StringVar(&p.before, "before", "", "Compare with Postern at this revision only; write no file.")
	flag.IntVar(&p.rounds, "rounds", 5, "Rounds of each load.")
	flag.DurationVar(&p.time, "time", 1500*time.Millisecond, "Time of each load.")
	flag.StringVar(&p.destination, "o", "bench/RESULTS.md", "File to write.")
	flag.Parse()
	if p.quick {
		p.rounds, p.time, p.idle, p.handshakes = 1, 500*time.Millisecond, 1000, 500
	}
	if p.quick || *only != "" || p.before != "" {
		p.destination = ""
	}
	var err error
	if p.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	return p
}

// A section is a part of the benchmark.
type section struct {
	name    string
	title   string
	text    string // what is compared and how
	measure func(*testpeer.Scope, plan, *result) error
}

// sectionBefore is the section that compares with a revision.
const sectionBefore = "before"

// sections has all sections in the order of the report.
var sections = []section{
	{
		name:  "maildir",
		title: "Maildir compared with Postfix",
		text: `Postern delivers to a Maildir; so does Postfix, with its own ` + "`virtual`" + ` delivery agent. Rates count until the last
message is in the Maildir: Postfix replies 250 when a message is in its queue and delivers afterwards, so the rate of
its replies is shown too. With one fresh connection at once Postfix takes some 40 ms for each, as long as a delayed
acknowledgement; not so for a resumed one, which receives no new ticket. "Disk alone" creates a file of 4 KiB with
O_TMPFILE, syncs it, links it and syncs the folder, with as many writers as there are connections and without mail.
After each load every acknowledged message must be in the Maildir once and complete.`,
		measure: measureMaildir,
	},
	{
		name:  "cutthrough",
		title: "Cut-through compared with nginx, the floor and go-smtp",
		text: `Postern, nginx's mail proxy and the floor forward messages to the same ` + "`smtp-sink`" + `, which must have counted as many
as were acknowledged. It offers no XCLIENT, so that all do the same work. nginx waits about 44 ms in each message,
whatever the load: small writes and delayed acknowledgements. Offering PIPELINING or a larger ` + "`proxy_buffer`" + ` did not
change that. go-smtp accepts messages itself and discards them: it has no backend and checks nothing. The backend's CPU
time is in no figure.`,
		measure: measureCutThrough,
	},
	{
		name:  "latency",
		title: "Latency added by cut-through",
		text: `Median time of a message from MAIL to the reply to its text, with one sender. The backend alone is measured without
TLS, which ` + "`smtp-sink`" + ` does not have. With one message a connection Postern opens its connection to the backend within
that time.`,
		measure: measureLatency,
	},
	{
		name:  "idle",
		title: "Memory of idle sessions",
		text: `Resident memory of the server with sessions that have sent EHLO after STARTTLS and nothing more, right after the last
one.`,
		measure: measureIdle,
	},
	{
		name:  "held",
		title: "Memory held by strangers",
		text: `Peak resident memory of the server while as many connections as it takes are open, each with something that is left
unfinished. One gigabyte is what the default limits promise. Postern closes a handshake of more than 32 KiB, and of
more than 4 KiB beyond the 512 that may be open at once.`,
		measure: measureHeld,
	},
	{
		name:  "large",
		title: "Memory of a large message",
		text: `Peak resident memory of the server while a message passes through to ` + "`smtp-sink`" + `, after a load of small ones; and the
CPU time of such a message, compared with the floor's.`,
		measure: measureLarge,
	},
	{
		name:  "handshake",
		title: "CPU of handshakes",
		text: `The server's CPU time, user and system, for a session with EHLO and QUIT and no message: first without TLS, then what
STARTTLS adds (a second EHLO, the handshake and the ticket), compared with the floor, which discards messages.`,
		measure: measureHandshake,
	},
	{
		name:  "failures",
		title: "CPU of failed handshakes",
		text: `The server's CPU time for a connection whose handshake fails, from EHLO to its rows in the ledger: what a stranger's
ClientHello costs. Each comes from an address of its own, 250 of them in a network, so no scanner is recognised. The
floor does the same handshake and keeps nothing.`,
		measure: measureFailures,
	},
	{
		name:  "ledger",
		title: "Questions to a large ledger",
		text: `What the commands ask by default, of ledgers with handshakes of 90 days, 500 of each sender. The operator waits for the
time; the CPU time shows what grows.`,
		measure: measureLedger,
	},
	{
		name:  "pages",
		title: "Pages of the dashboard from a large ledger",
		text: `Each page from a ledger with 10 million handshakes over 90 days, made again each time; the server shares a page
among those who have it open. The ledger is kept in the user's cache folder for a day.`,
		measure: measurePages,
	},
	{
		name:  "fleet",
		title: "Several hosts",
		text: `Four hosts in mode stock, once alone and once as a fleet with three NATS servers. Strict senders deliver to each host
in turn, each sender beginning at another host, with a second between attempts. "Until another host knows" is from the
end of a failed handshake at one host until the fallback of another one has taken it, one failure after the other. Last
the NATS server that leads the history of senders is killed, again and again. Meanwhile hosts decide for themselves.`,
		measure: measureFleet,
	},
	{
		name:  "fleetcost",
		title: "Cost of sharing",
		text: `A host alone and one of a fleet take turns, while another host takes in what the fleet's host shares. The CPU time is
that of the one host, and has the seconds after each load, since what it has seen is written and shared in batches. NATS
and the other host use the same cores, so the rate says little. The bytes are those of the host's connection to NATS,
with those of what it takes in.`,
		measure: measureFleetCost,
	},
	{
		name:  "openpages",
		title: "Pages of the dashboard that are open",
		text: `The CPU time of a message with pages open in browsers and with none, while a handshake fails twice a second. At such a
failure each page loads again at once, else every five seconds. Two servers take turns.`,
		measure: measureOpenPages,
	},
	{
		name:  "metrics",
		title: "Cost of metrics",
		text: `What is counted for a message, measured alone, compared with the CPU time that the server takes for the message; and
the server's CPU time for a scrape.`,
		measure: measureMetrics,
	},
	{
		name:  "gate",
		title: "The gate alone",
		text: `The benchmarks of package sessionticket: client and server in one process over loopback, with and without the gate in
turns; in OwnWrite with the gate in mode first-write and in mode own-write. A handshake's time is that of both sides,
up to the server's first line.`,
		measure: measureGate,
	},
	{
		name:  "recording",
		title: "Recording alone",
		text: `The benchmarks of package handshake: client and server in one process over loopback, with the server's handshake
recorded and not, in turns, up to the first reply over TLS.`,
		measure: measureRecording,
	},
	{
		name:  "scale",
		title: "Size of the configuration",
		text: `The server's CPU time from its start until it listens, and for a reload after one domain or one certificate has
changed, with a configuration and with one four times as large. Then a session whose handshake fails, since no
certificate is of a kind that the client supports, with one certificate and with thousands; its row in the ledger is
part of it.`,
		measure: measureScale,
	},
	{
		name:    sectionBefore,
		title:   "Postern compared with an earlier revision",
		text:    `Both forward messages to the same ` + "`smtp-sink`" + `, with the same configuration.`,
		measure: measureBefore,
	},
}

// perform measures a section.
func (s section) perform(p plan) *result {
	fmt.Fprintf(os.Stderr, "== %s\n", s.title)
	r := &result{section: s}
	r.err = testpeer.Run(context.Background(), os.Stderr, nil, func(scope *testpeer.Scope) error { return s.measure(scope, p, r) })
	if r.err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, r.err)
	}
	return r
}
