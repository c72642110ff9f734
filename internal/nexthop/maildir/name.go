package maildir

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

var deliveries atomic.Uint64 // begun by this process

// uniqueName makes a name that no other delivery has: by the time in seconds
// and microseconds, the process, a counter and the host. Should it be taken
// all the same, since a clock was set back, the delivery is refused.
func uniqueName(now time.Time, host string) string {
	return fmt.Sprintf("%d.M%dP%dQ%d.%s",
		now.Unix(), now.Nanosecond()/1000, os.Getpid(), deliveries.Add(1), host)
}

// escapeHost writes what has a meaning in file names of a Maildir, and what no
// host name should have, as a backslash and three octal digits.
func escapeHost(host string) string {
	var b strings.Builder
	for i := range len(host) {
		if c := host[i]; isHostByte(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String()
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_'
}
