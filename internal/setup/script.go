package setup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"postern/internal/config"
	"postern/internal/dnsrecords"
	"postern/internal/safetext"
)

// A script is a shell script that explains itself.
type script struct {
	strings.Builder
	steps int
}

// columns is the width of a comment, its # included.
const columns = 80

// comment writes text as comments, wrapped; indent goes before each line but the first.
func (s *script) comment(first, indent, text string) {
	line := "# " + first
	empty := true
	for word := range strings.FieldsSeq(text) {
		word = safetext.Printable(word) // programs and certificates have names that others chose
		if !empty && len([]rune(line))+1+len([]rune(word)) > columns {
			s.line(line)
			line, empty = "# "+indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	s.line(strings.TrimRight(line, " "))
}

func (s *script) line(text string) { s.WriteString(text + "\n") }

// step begins a numbered step.
func (s *script) step(text string) {
	s.steps++
	s.line("")
	s.comment(fmt.Sprintf("%d. ", s.steps), "   ", text)
}

func (s *script) commands(commands ...string) {
	for _, command := range commands {
		s.line(command)
	}
}

// Script returns the plan as a shell script for root. What is written already is left out.
func (p *Plan) Script(written []string) string {
	s := new(script)
	s.line("#!/bin/sh")
	p.introduce(s, written)
	s.line("set -eu")
	p.account(s)
	p.configure(s, written)
	p.check(s)
	p.takeOver(s)
	p.verify(s)
	p.publish(s)
	p.goBack(s)
	return s.String()
}

// introduce says what was found, and what the plan is.
func (p *Plan) introduce(s *script, written []string) {
	m := p.machine
	behind := "a Maildir"
	if p.behind != nil {
		behind = p.behind.name
	}
	changed := "Nothing has been changed so far."
	if len(written) > 0 {
		changed = "So far only these files were written: " + strings.Join(written, ", ") + "."
	}
	s.comment("", "", fmt.Sprintf("How to put Postern in front of %s on %s. %s Read this, then run it as root, as a whole or step by step.", behind, m.Hostname, changed))
	s.line("#")
	s.line("# Found:")
	found := func(label, text string) { s.comment(fmt.Sprintf("  %-13s ", label), strings.Repeat(" ", 16), text) }
	found("hostname", m.Hostname)
	found("addresses", cmp.Or(join(m.own), "none"))
	for _, records := range m.mx {
		found("MX records", records.domain+": "+records.String())
	}
	found("port 25", cmp.Or(m.port25(), "none"))
	for _, server := range m.servers {
		found(server.name, server.version)
		for _, note := range server.notes {
			found("", note)
		}
	}
	for _, c := range m.certificates {
		found("certificate", c.String())
	}
	if len(m.certificates) == 0 {
		found("certificate", "none for "+m.Hostname)
	}
	for _, note := range slices.Concat(m.notes, m.mxNotes(), p.notes) {
		found("note", note)
	}
	s.line("#")
	if p.behind != nil {
		s.comment("", "", fmt.Sprintf("Senders then deliver to Postern on port 25. Postern passes each message on to %s, which %s.", p.behind.name, p.sees))
	} else {
		s.comment("", "", "Senders then deliver to Postern on port 25, and Postern stores the messages in the Maildir "+ownData+"/maildir.")
	}
}

// String lists the hosts for people.
func (r mxRecords) String() string {
	switch {
	case r.err != nil:
		return "not known, DNS does not answer"
	case r.hosts == nil:
		return "none"
	}
	return strings.Join(r.hosts, ", ")
}

// mxNotes are about MX records that do not lead here.
func (m *Machine) mxNotes() (notes []string) {
	for _, records := range m.mx {
		if records.hosts != nil && !slices.Contains(records.hosts, m.Hostname) {
			notes = append(notes, fmt.Sprintf("The MX records of %s do not name %s: mail for it does not arrive here.", records.domain, m.Hostname))
		}
	}
	if more := len(m.Domains) - len(m.mx); more > 0 {
		notes = append(notes, fmt.Sprintf("The MX records of %d more domains were not looked up.", more))
	}
	return notes
}

// account makes the user that Postern runs as, and its folder.
func (p *Plan) account(s *script) {
	if p.machine.account {
		return
	}
	s.step("Make the user that Postern runs as.")
	s.commands("id -u postern >/dev/null 2>&1 || useradd --system --user-group --home-dir " + ownData + " --no-create-home --shell /usr/sbin/nologin postern")
}

// configure writes Postern's files and copies certificates.
func (p *Plan) configure(s *script, written []string) {
	for _, f := range p.Files {
		if slices.Contains(written, f.Path) {
			continue
		}
		switch f.Path {
		case ownConfig:
			s.step("Write the configuration. (postern setup --write does that.)")
			s.commands("mkdir -p " + ownFolder)
			s.commands("[ ! -e " + quote(f.Path) + " ] || " + keep(f.Path, beforeSetup))
		case ownCopy:
			s.step("Write the program that copies the certificates, which only root can read. (postern setup --write does that.)")
		}
		s.commands(writeFile(f.Path, f.Content), fmt.Sprintf("chmod %o %s", f.Mode, quote(f.Path)))
	}
	if p.certificates == nil {
		return
	}
	s.step("Copy the certificates now, and after each renewal.")
	s.commands(ownCopy)
	for _, folder := range p.renewalFolders() {
		s.commands("mkdir -p "+folder, "ln -sf "+ownCopy+" "+folder+"/postern")
	}
}

// renewalFolders returns the folders whose programs run after one of the copied certificates was
// renewed, none twice.
func (p *Plan) renewalFolders() (folders []string) {
	for _, c := range p.certificates {
		if folder := c.afterRenewal(); !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// beforePostern ends the names under which files of mail servers are kept.
const beforePostern = ".before-postern"

// keep saves a file under a name with another ending, before it is changed for the first time. A plan
// is run again when a step has failed: what it has changed is not what there was before.
func keep(path, ending string) string {
	return fmt.Sprintf("[ -e %s ] || cp -p %s %[1]s", quote(path+ending), quote(path))
}

// restore undoes what a plan has done to a file of a mail server.
func restore(path string) string { return "mv " + quote(path+beforePostern) + " " + quote(path) }

// unlessHas is a command to run unless a file has a text: if the plan is run again, it does.
func unlessHas(path, text, command string) string {
	return "grep -qF " + quote(text) + " " + quote(path) + " || " + command
}

// aboveDoor is the comment above what a plan adds to the configuration of a mail server. Another plan
// may add another port.
func aboveDoor(port string) string {
	return "# Port " + port + " is for mail from Postern, which says who the sender is. No client can relay there."
}

// serve is the command that runs Postern as its user.
const serve = "postern serve --config " + ownConfig

// check checks the configuration as the user that Postern runs as.
func (p *Plan) check(s *script) {
	s.step("Check the configuration as the user that Postern runs as.")
	s.commands("install -d -m 700 -o postern -g postern "+ownData, "runuser -u postern -- "+serve+" --check")
}

// takeOver moves port 25 from the server to Postern.
func (p *Plan) takeOver(s *script) {
	if p.open != nil {
		s.step("Let " + p.behind.name + " take mail from Postern.")
		s.commands(p.open...)
	}
	if p.leave != nil {
		s.step("Take port 25 from " + p.behind.name + ". Senders that connect from here until Postern runs try again later.")
		s.commands(p.leave...)
	}
	switch {
	case p.machine.systemd && p.machine.unit:
		s.step("Start Postern.")
		s.commands("systemctl enable postern", "systemctl restart postern")
	case p.machine.systemd:
		s.step("Start Postern. Its unit is not installed yet: copy deploy/postern.service of its source to /etc/systemd/system first.")
		s.commands("systemctl daemon-reload", "systemctl enable postern", "systemctl restart postern")
	default:
		s.step("Start Postern, with what starts services here. It has to run as its user, with the right to listen on port 25 (CAP_NET_BIND_SERVICE):")
		s.line("#    " + serve)
	}
}

// verify says how to see that it works.
func (p *Plan) verify(s *script) {
	to := p.machine.Domains[0]
	s.step("See that it works. The first of these examines this machine. From another machine, the second arrives, and the third is refused with 550:")
	s.line("#    postern doctor")
	s.line("#    swaks --server " + p.machine.Hostname + " --tls --to postmaster@" + to)
	s.line("#    swaks --server " + p.machine.Hostname + " --tls --to someone@example.com")
}

// publish lists the DNS records.
func (p *Plan) publish(s *script) {
	m := p.machine
	s.step("Publish DNS records. postern dns DOMAIN prints them too, with those of DANE; with --check it compares them with what is published.")
	domains, more := config.First(m.Domains)
	for _, domain := range domains {
		required := dnsrecords.Config{Domain: domain, Host: m.Hostname, Report: "mailto:" + reports(domain)}
		records, err := required.Records()
		if err != nil {
			panic(err) // the address for reports is valid
		}
		for _, r := range records {
			s.line("#    " + r.String())
		}
	}
	if more > 0 {
		s.line(fmt.Sprintf("#    and those of %d more domains", more))
	}
	if m.Addresses != nil {
		s.comment("   ", "   ", m.Hostname+" needs an A or AAAA record for each of its public addresses.")
	}
}

// goBack says how to undo everything. It is all comments: the script does not do that.
func (p *Plan) goBack(s *script) {
	s.line("")
	s.comment("", "", "To go back:")
	stop := "# stop Postern, with what starts services here"
	if p.machine.systemd {
		stop = "systemctl disable --now postern"
	}
	for _, command := range append([]string{stop}, p.back...) {
		for line := range strings.Lines(command) {
			s.line("#    " + strings.TrimSuffix(line, "\n"))
		}
	}
	for _, folder := range p.renewalFolders() {
		s.line("#    rm " + folder + "/postern")
	}
	kept := quote(ownConfig + beforeSetup)
	s.line("#    [ ! -e " + kept + " ] || mv " + kept + " " + quote(ownConfig))
}

// plain matches text that a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// quote returns text as one word of a shell.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// writeFile is the command that writes a file. No line of the content is END.
func writeFile(path, content string) string {
	return fmt.Sprintf("cat >%s <<'END'\n%sEND", quote(path), content)
}

// appendFile is like writeFile for what comes after the content that the file has.
func appendFile(path, content string) string {
	return fmt.Sprintf("cat >>%s <<'END'\n%sEND", quote(path), content)
}
