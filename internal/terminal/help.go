package terminal

import "github.com/alecthomas/kong"

// HelpFlag makes the help say of --help what it does, in the words of the other flags.
var HelpFlag = kong.PostBuild(func(k *kong.Kong) error {
	k.Model.HelpFlag.Help = "Print help."
	return nil
})
