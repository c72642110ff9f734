package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is one line: postern's, the commit it was built from, Go's and the
// system.
func version() string {
	ours, commit := "(unknown)", ""
	if build, ok := debug.ReadBuildInfo(); ok {
		ours = build.Main.Version
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				commit = " " + setting.Value
			}
		}
	}
	return fmt.Sprintf("postern %s%s %s %s/%s", ours, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
