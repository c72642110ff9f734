package keylog_test

import (
	"fmt"
	"strings"

	"postern/handshake/keylog"
)

func ExampleParse() {
	keys, err := keylog.Parse(strings.NewReader("# written by SSLKEYLOGFILE\nCLIENT_RANDOM 5a\n"))
	if err != nil {
		fmt.Println(err)
	}
	faults, _ := keys.BadLines()
	for _, fault := range faults {
		fmt.Printf("line %d is skipped: %s\n", fault.Line, fault.Reason)
	}
	// Output: line 2 is skipped: not a label, a client random and a secret with one space between them
}
