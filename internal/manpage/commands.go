package manpage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Commands returns the pages of a program by file name: one of the program, such as
// postern.1, and one of each of its commands, such as postern-serve.1. The date is the one that
// they show.
func Commands(program *kong.Application, date time.Time) map[string]string {
	pages := map[string]string{program.Name + ".1": programPage(program, date)}
	for _, command := range shown(program.Node) {
		pages[pageName(command)+".1"] = commandPage(program, command, date)
	}
	return pages
}

// pageName is the name of a command's page without its section.
func pageName(node *kong.Node) string { return strings.ReplaceAll(node.FullPath(), " ", "-") }

func shown(node *kong.Node) (children []*kong.Node) {
	for _, child := range node.Children {
		if !child.Hidden {
			children = append(children, child)
		}
	}
	return children
}

// programPage is the page of a program, which lists its commands.
func programPage(program *kong.Application, date time.Time) string {
	help, detail, _ := strings.Cut(program.Help, "\n\n")
	p := newPage(program.Name, 1, help, date)
	p.line(".Sh SYNOPSIS")
	p.line(".Nm")
	p.line(".Ar command")
	p.line(".Op Ar flags")
	about, exit, examples := sections(detail)
	p.description(help, about)
	p.line(".Sh COMMANDS")
	p.list(commandList(shown(program.Node)))
	p.line(".Sh OPTIONS")
	p.list(flagList(program.Node, true))
	p.line(".Sh FILES")
	p.list(files)
	p.end(exit, examples)
	p.seeAlso(program.Name+" 1", "postern 1", "postern-lab 1", settingsName+" 5")
	return p.String()
}

// commandPage is the page of a command, with all about its subcommands.
func commandPage(program *kong.Application, command *kong.Node, date time.Time) string {
	p := newPage(pageName(command), 1, command.Help, date)
	p.line(".Sh SYNOPSIS")
	p.synopsis(program, command)
	about, exit, examples := sections(command.Detail)
	p.description(command.Help, about)
	p.arguments(command)
	if implied := command.DefaultCmd; implied != nil {
		p.line(".Pp")
		p.prose(fmt.Sprintf("Without a command, %s runs %s.", command.FullPath(), implied.Name))
	}
	if children := shown(command); len(children) > 0 {
		p.line(".Sh COMMANDS")
		for _, child := range children {
			p.subcommand(child)
		}
	}
	if flags := flagList(command, false); len(flags) > 0 {
		p.line(".Sh OPTIONS")
		p.list(flags)
	}
	if exit == nil {
		exit = blocks("See " + program.Name + "(1), unless it is said above.")
	}
	p.end(exit, examples)
	p.seeAlso(pageName(command)+" 1", "postern 1", program.Name+" 1", settingsName+" 5")
	return p.String()
}

func (p *page) description(help string, about []block) {
	p.line(".Sh DESCRIPTION")
	p.prose(help)
	p.blocks(about, true)
}

// end writes the sections of exit statuses and examples.
func (p *page) end(exit, examples []block) {
	p.line(".Sh EXIT STATUS")
	p.blocks(exit, false)
	if examples != nil {
		p.line(".Sh EXAMPLES")
		p.blocks(examples, false)
	}
}

// files are where packages install what the texts name.
var files = []definition{
	{"Pa " + settingsFile, blocks("The configuration of the service, and what commands read if none is named.")},
	{"Pa /usr/share/doc/postern", blocks("The documentation that these pages name: docs/json.md, for example, and deploy/postern.toml.")},
}

// exitStatus begins the list of exit statuses in a help text.
const exitStatus = "Exit status"

// sections splits a help text: what has a section of its own in a manual page comes apart.
func sections(detail string) (about, exit, examples []block) {
	to := &about
	for _, b := range blocks(detail) {
		heading, isHeading := strings.CutSuffix(b.text, ":")
		switch {
		case b.indented:
		case heading == "Examples":
			to = &examples
			continue
		case isHeading && strings.HasPrefix(heading, exitStatus):
			to = &exit
			if heading == exitStatus {
				continue
			}
		case to != &about && len(*to) > 0:
			to = &about // the section has ended
		}
		*to = append(*to, b)
	}
	return about, exit, examples
}

// synopsis writes a line for each command that node is or has.
func (p *page) synopsis(program *kong.Application, node *kong.Node) {
	if !node.Leaf() {
		for _, child := range shown(node) {
			p.synopsis(program, child)
		}
		return
	}
	p.line(".Nm " + program.Name)
	if parent := node.Parent; parent != program.Node {
		p.line(".Cm " + argument(parent.Path()))
	}
	if node.Parent.DefaultCmd == node {
		p.line(".Op Cm " + argument(node.Name))
	} else {
		p.line(".Cm " + argument(node.Name))
	}
	for _, flag := range node.Flags {
		if flag.Required {
			p.line("." + flagTerm(flag))
		}
	}
	p.line(".Op Ar flags")
	for _, a := range node.Positional {
		p.line("." + argumentTerm(a))
	}
}

// argumentTerm names an argument as synopses do.
func argumentTerm(a *kong.Positional) string {
	term := "Ar " + argument(strings.ToUpper(a.Name))
	if a.IsCumulative() {
		term += " ..."
	}
	if !a.Required {
		term = "Op " + term
	}
	return term
}

// arguments describes the arguments of a command.
func (p *page) arguments(node *kong.Node) {
	var all []definition
	for _, a := range node.Positional {
		all = append(all, definition{"Ar " + argument(strings.ToUpper(a.Name)), []block{{text: a.Help}}})
	}
	if all != nil {
		p.line(".Pp")
		p.line("The arguments are:")
		p.list(all)
	}
}

// subcommand describes one of the commands of a command.
func (p *page) subcommand(node *kong.Node) {
	p.line(".Ss " + argument(node.FullPath()))
	p.prose(node.Help)
	p.blocks(blocks(node.Detail), true)
	p.arguments(node)
	if flags := flagList(node, false); len(flags) > 0 {
		p.line(".Pp")
		p.line("The flags are:")
		p.list(flags)
	}
}

func commandList(nodes []*kong.Node) (all []definition) {
	for _, node := range nodes {
		all = append(all, definition{"Xr " + pageName(node) + " 1", []block{{text: node.Help}}})
	}
	return all
}

// flagList describes the flags of a command: those that all commands have only on the page of
// the program.
func flagList(node *kong.Node, common bool) (all []definition) {
	for _, flag := range node.Flags {
		if !flag.Hidden && (common || flag.Name != "help") {
			all = append(all, definition{flagTerm(flag), []block{{text: flag.Help}}})
		}
	}
	return all
}

// flagTerm is a flag with its value.
func flagTerm(flag *kong.Flag) string {
	term := "Fl " + argument("-"+flag.Name)
	if flag.Short != 0 {
		term = fmt.Sprintf("Fl %c , %s", flag.Short, term)
	}
	if flag.IsBool() {
		return term
	}
	value := flag.PlaceHolder
	if value == "" {
		value = strings.ToUpper(flag.Name)
	}
	return term + " Ns = Ns Ar " + argument(value)
}

// seeAlso refers to the pages that lead to all others.
func (p *page) seeAlso(self string, pages ...string) {
	p.line(".Sh SEE ALSO")
	pages = slices.DeleteFunc(slices.Compact(pages), func(name string) bool { return name == self })
	for i, name := range pages {
		if i < len(pages)-1 {
			name += " ,"
		}
		p.line(".Xr " + name)
	}
}
