package main

import (
	"fmt"
	"time"

	"postern/internal/dnsrecords"
)

// zone tells how the wanted records stand, a line each, and what comes next.
func (t terminal) zone(c dnsrecords.Check) {
	for _, r := range c.Results {
		fmt.Fprintf(t.out, "%-8s  %s %s %s", r.State, printable(r.Name), r.Type, printable(r.Data))
		if r.Why != "" {
			fmt.Fprintf(t.out, ": %s", printable(r.Why))
		}
		fmt.Fprintln(t.out)
	}
	fmt.Fprintf(t.out, "next: %s\n", advice(c.Rollover))
}

// advice is the next step in the change of a key.
func advice(r dnsrecords.Rollover) string {
	switch r.Step {
	case dnsrecords.Publish:
		return "publish the TLSA records that are missing, and leave the others as they are"
	case dnsrecords.Wait:
		return fmt.Sprintf("wait until %s, when nobody holds the old TLSA records any more", r.Until.UTC().Format(time.DateTime+" MST"))
	case dnsrecords.Switch:
		return "postern dns --switch-key puts the next key in use"
	case dnsrecords.Remove:
		return "remove the TLSA records that are of no key here"
	case dnsrecords.Undecided:
		return "ask again: it could not be told which TLSA records are published"
	}
	return "nothing is to be done about keys"
}
