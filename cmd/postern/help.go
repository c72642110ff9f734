package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"postern/internal/terminal"
)

// helpCmd prints what --help prints.
type helpCmd struct {
	Command []string `arg:"" optional:"" complete:"command" help:"Command, such as senders pin. Default: all commands."`
}

// Run is called by kong.
func (h helpCmd) Run(parser *kong.Kong) error {
	_, err := parser.Parse(append(h.Command, "--help")) // which prints the help and exits
	return &terminal.UsageError{Err: err, Hint: usageHint(err)}
}

var helpOptions = kong.HelpOptions{
	Compact:             true,
	NoExpandSubcommands: true,
	WrapUpperBound:      100,
	ValueFormatter:      kong.DefaultHelpValueFormatter,
}

// printHelp prints the help of a command. If it has a subcommand that runs without being
// named, it prints the help of that one too.
func printHelp(options kong.HelpOptions, context *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, context); err != nil {
		return err
	}
	selected := context.Selected()
	if selected == nil || selected.DefaultCmd == nil {
		return nil
	}
	words := strings.Fields(selected.DefaultCmd.Path())
	fmt.Fprintf(context.Stdout, "\nWithout a command, %s runs %s:\n\n", selected.FullPath(), selected.DefaultCmd.Name)
	implied, err := kong.Trace(context.Kong, words)
	if err != nil {
		return err
	}
	return kong.DefaultHelpPrinter(options, implied)
}

// usageHint says where the help for a wrong command line is. A word that is no command, as in
// postern handshakes 7Q2F, could mean one of several, such as show.
func usageHint(err error) string {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context.Selected() == nil {
		return ""
	}
	selected := parse.Context.Selected()
	group := selected
	if selected.Leaf() {
		group = selected.Parent
	}
	if !strings.HasPrefix(err.Error(), "unexpected argument") || group.Type == kong.ApplicationNode {
		return selected.FullPath() + " --help shows its arguments and flags"
	}
	var names []string
	for _, command := range group.Children {
		names = append(names, command.Name)
	}
	return fmt.Sprintf("use one of the commands of %s: %s; %s COMMAND --help lists their arguments", group.FullPath(), strings.Join(names, ", "), group.FullPath())
}
