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
	pages := make(map[string]string)
	add := func(node *kong.Node) {
		pages[pageName(node)+".1"] = commandPage(program, node, date)
	}
	add(program.Node)
	for _, command := range shown(program.Node) {
		add(command)
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

// exitStatus begins the list of exit statuses in a help text.
const exitStatus = "Exit status"

// commandPage is the page of a program or of one of its commands.
func commandPage(program *kong.Application, node *kong.Node, date time.Time) string {
	help, detail := node.Help, node.Detail
	if node == program.Node {
		help, detail, _ = strings.Cut(node.Help, "\n\n")
	}
	p := newPage(pageName(node), 1, help, date)
	p.line(".Sh SYNOPSIS")
	p.synopsis(program, node)

	p.line(".Sh DESCRIPTION")
	p.prose(help)
	about, exit, examples := sections(detail)
	p.blocks(about, true)
	if implied := node.DefaultCmd; implied != nil {
		p.line(".Pp")
		p.prose(fmt.Sprintf("Without a command, %s runs %s.", node.FullPath(), implied.Name))
	}
	p.arguments(node)
	if children := shown(node); node == program.Node {
		p.line(".Sh COMMANDS")
		p.list(commandList(children))
	} else if len(children) > 0 {
		p.line(".Sh COMMANDS")
		for _, child := range children {
			p.subcommand(child)
		}
	}
	if flags := flagList(node, node == program.Node); len(flags) > 0 {
		p.line(".Sh OPTIONS")
		p.list(flags)
	}
	p.line(".Sh EXIT STATUS")
	if exit == nil {
		exit = []block{{text: "See " + program.Name + "(1), unless a command above lists its own."}}
		if node.Leaf() {
			exit[0].text = "See " + program.Name + "(1)."
		}
	}
	p.blocks(exit, false)
	if examples != nil {
		p.line(".Sh EXAMPLES")
		p.blocks(examples, false)
	}
	p.seeAlso(pageName(node)+" 1", "postern 1", program.Name+" 1", settingsName+" 5")
	return p.String()
}

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
	if node == program.Node {
		p.line(".Nm")
		p.line(".Ar command")
		p.line(".Op Ar flags")
		return
	}
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
