package main

import (
	"fmt"
	"os"
	"strings"
)

// equivalents are changes that tests need not notice, because they change nothing that
// anybody relies on. The file has a paragraph for each: the source file and the function
// if it is in one, the line before and after, and the reason.
//
//	internal/smtp/reply.go format
//	- text := make([]byte, 0, 64)
//	+ text := make([]byte, 0, 65)
//	The capacity is only a hint.
type equivalents map[equivalent]string // to the reason

type equivalent struct{ place, before, after string }

// place is where a change is: the file, from the working folder, and the function.
func place(c change) string {
	if c.function == "" {
		return fromHere(c.path)
	}
	return fromHere(c.path) + " " + c.function
}

func readEquivalents(name string) (equivalents, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	all := make(equivalents)
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(content)), "\n\n") {
		lines := strings.SplitN(strings.TrimSpace(paragraph), "\n", 4)
		if strings.HasPrefix(lines[0], "#") {
			continue
		}
		if len(lines) < 4 || !strings.HasPrefix(lines[1], "- ") || !strings.HasPrefix(lines[2], "+ ") {
			return nil, fmt.Errorf("%s: want a file, a line with -, a line with + and a reason:\n%s", name, paragraph)
		}
		all[equivalent{lines[0], lines[1][2:], lines[2][2:]}] = lines[3]
	}
	return all, nil
}
