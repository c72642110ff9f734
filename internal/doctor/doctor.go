// Package doctor examines a server on its own machine: whether its configuration, its process,
// its ports, what it shows to senders, its next hop, its DNS records and the machine are right.
//
//	findings := doctor.Examine(ctx, config, doctor.Options{})
//
// A finding is that of package probe, with a remedy. Each file has the checks about one thing.
//
// # What it does to others
//
// Examine asks the next hop whether it would take mail for addresses of the configured domains
// and for a foreign one, without sending a message. It sends one only if [Options.Deliver] is
// set, and removes it again where it can. It connects to the MX hosts of the domains as a
// healthy client, as postern probe does.
//
// # Limits
//
// It finds most as root, and on Linux: who listens, and what the running process may do, is in
// /proc.
package doctor

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"time"

	"postern/internal/config"
	"postern/internal/listening"
	"postern/internal/probe"
	"postern/internal/probekey"
	"postern/interop"
)

// Options of an examination.
type Options struct {
	Resolver string       // a DNS server, as of [probe.Prober]
	Key      probekey.Key // of the server
	Deliver  string       // the address that gets a test message; empty: none is sent
	UserID   int          // of this process: root sees more
}

// An examination collects findings about a configuration.
type examination struct {
	config   *config.Config
	options  Options
	packaged string // the program that a package installs
	found    []probe.Finding

	sockets   []listening.Socket
	unknown   error            // why sockets are not known
	addresses []netip.AddrPort // of the server, for mail
	deferring bool             // the next hop takes no mail
}

// Examine returns the findings, the worst first. It takes minutes if something does not answer,
// at most as long as ctx.
func Examine(ctx context.Context, c *config.Config, o Options) []probe.Finding {
	e := &examination{config: c, options: o, packaged: packaged}
	e.sockets, e.unknown = listening.Sockets()
	for _, examine := range []func(context.Context){
		e.configuration, e.process, e.machine, e.listeners, e.nextHop, e.message, e.domains,
	} {
		if ctx.Err() != nil {
			e.add(probe.Finding{ID: "time-up", Severity: probe.Unclear, Title: "Time was up: not everything was examined",
				Advice: do("Postern", "Run postern doctor again with a longer --timeout.")})
			break
		}
		examine(ctx)
	}
	slices.SortStableFunc(e.found, func(a, b probe.Finding) int { return int(b.Severity) - int(a.Severity) })
	return e.found
}

// Denied returns the finding of a user who is neither root nor the owner of the data folder, and
// so cannot read what the server reads; ok is false for others.
func Denied(data string, uid int) (f probe.Finding, ok bool) {
	info, err := os.Stat(data)
	owner, known := ownerOf(info, err)
	if uid == 0 || !known || int(owner) == uid {
		return f, false
	}
	return probe.Finding{ID: "rights", Severity: probe.Unclear, Title: "This user cannot read what the server reads",
		Advice: do("Postern", "Run postern doctor as root, or as the user who owns "+data+".")}, true
}

// Broken returns the findings about a configuration with problems.
func Broken(problems config.Problems) (found []probe.Finding) {
	for _, p := range problems {
		found = append(found, finding(probe.Critical, "configuration", p))
	}
	return found
}

// finding is about a problem of the configuration.
func finding(severity probe.Severity, id string, p config.Problem) probe.Finding {
	return probe.Finding{ID: id, Severity: severity, Title: p.Error(), Advice: do("Postern", p.Remedy)}
}

func (e *examination) add(f probe.Finding) { e.found = append(e.found, f) }

// ok adds that something is as it should be.
func (e *examination) ok(id, title string, evidence ...string) {
	e.add(probe.Finding{ID: id, Severity: probe.OK, Title: title, Evidence: evidence})
}

// do is what to do, and with which software.
func do(software, action string) []interop.Advice {
	return []interop.Advice{{Software: software, Action: action}}
}

// configuration repeats the warnings about the configuration, and adds what it does not check.
func (e *examination) configuration(context.Context) {
	warnings := e.config.Warnings(time.Now(), e.options.UserID)
	for _, w := range warnings {
		e.add(finding(probe.Warning, "configuration", w))
	}
	if len(warnings) == 0 {
		e.ok("configuration", "The configuration is valid")
	}
}
