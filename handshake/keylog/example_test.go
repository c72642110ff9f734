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
	faults, _ := keys.Faults()
	for _, fault := range faults {
		fmt.Printf("line %d is left out: %s\n", fault.Line, fault.Why)
	}
	// Output: line 2 is left out: not a label, a client random and a secret with one space between them
}
