package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"postern/internal/terminal"
)

// completeCmd completes the last word of a command line for a shell, by the scripts in
// deploy/completions. It prints the words that fit, each with a tab and a description. Exit
// status 1 means that the word may be the name of a file, which the shell completes.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"-- and the words after postern; the last is to be completed."`
}

// Run is called by kong.
func (c completeCmd) Run(parser *kong.Kong, ui terminal.UI) error {
	last := len(c.Words) - 1
	if last < 1 {
		return nil
	}
	fit, isFile := readWords(parser.Model.Node, c.Words[1:last]).complete(c.Words[last])
	if isFile && len(fit) == 0 {
		return terminal.ExitFailed
	}
	for _, w := range fit {
		fmt.Fprintf(ui.Out, "%s\t%s\n", w.text, w.about)
	}
	return nil
}

// A word may complete a command line.
type word struct{ text, about string }

// typedWords are the words of a command line up to the one to be completed. They may be wrong.
type typedWords struct {
	root, command *kong.Node
	flags         map[string]string // by name, as typed
	arguments     []string
	pending       *kong.Flag // its value comes next
	flagsEnded    bool       // by --
}

func readWords(root *kong.Node, words []string) *typedWords {
	t := &typedWords{root: root, command: root, flags: make(map[string]string)}
	for _, text := range words {
		t.read(text)
	}
	return t
}

func (t *typedWords) read(text string) {
	switch {
	case t.pending != nil:
		t.flags[t.pending.Name], t.pending = text, nil
	case t.flagsEnded || len(text) < 2 || text[0] != '-':
		t.readArgument(text)
	case text == "--":
		t.flagsEnded = true
	default:
		name, value, hasValue := strings.Cut(text, "=")
		flag := t.flag(name)
		if flag == nil {
			return
		}
		t.flags[flag.Name] = value
		if !hasValue && !flag.IsBool() {
			t.pending = flag
		}
	}
}

// readArgument reads the name of a command, or an argument.
func (t *typedWords) readArgument(text string) {
	if len(t.arguments) == 0 {
		for _, child := range t.command.Children {
			if child.Name == text {
				t.command = child
				return
			}
		}
	}
	t.arguments = append(t.arguments, text)
}

// leaf returns the command that runs: without one that is named, the default.
func (t *typedWords) leaf() *kong.Node {
	if t.command.DefaultCmd != nil {
		return t.command.DefaultCmd
	}
	return t.command
}

// flag finds a flag by its name with hyphens.
func (t *typedWords) flag(name string) *kong.Flag {
	for _, group := range t.leaf().AllFlags(true) {
		for _, flag := range group {
			if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

// complete returns the words that begin with what was typed of one.
func (t *typedWords) complete(typed string) (fit []word, isFile bool) {
	prefix := ""
	switch name, _, hasValue := strings.Cut(typed, "="); {
	case t.pending != nil:
		fit, isFile = t.values(t.pending.Value)
	case t.flagsEnded || !strings.HasPrefix(typed, "-"):
		fit, isFile = t.commandsOrArguments(typed)
	case hasValue:
		if flag := t.flag(name); flag != nil {
			prefix = name + "="
			fit, isFile = t.values(flag.Value)
		}
	default:
		fit = t.unusedFlags()
	}
	for i := range fit {
		fit[i].text = prefix + fit[i].text
	}
	return slices.DeleteFunc(fit, func(w word) bool { return !strings.HasPrefix(w.text, typed) }), isFile
}

func (t *typedWords) unusedFlags() (all []word) {
	for _, group := range t.leaf().AllFlags(true) {
		for _, flag := range group {
			if _, used := t.flags[flag.Name]; !used || flag.IsCumulative() {
				all = append(all, word{"--" + flag.Name, firstSentence(flag.Help)})
			}
		}
	}
	return all
}

// commandsOrArguments returns the commands that may come next, and the values of the next
// argument; where there are none, the flags.
func (t *typedWords) commandsOrArguments(typed string) (all []word, isFile bool) {
	if len(t.arguments) == 0 {
		all = commandWords(t.command)
	}
	if expected := t.leaf().Positional; len(expected) > 0 {
		next := expected[min(len(t.arguments), len(expected)-1)]
		if len(t.arguments) < len(expected) || next.IsCumulative() {
			values, file := t.values(next)
			return append(all, values...), file
		}
	}
	if all == nil && typed == "" && !t.flagsEnded {
		all = t.unusedFlags()
	}
	return all, false
}

func commandWords(node *kong.Node) (all []word) {
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, word{child.Name, firstSentence(child.Help)})
		}
	}
	return all
}

// firstSentence is what fits beside a word.
func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}
