package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// SelfCheck configures the daily check of this server's hosts and domains.
type SelfCheck struct {
	At       string // time of day in UTC, or Off; empty: see [Config.SelfCheckTime]
	Resolver string // host or host:port of a DNS server; empty: the system's
}

// defaultCheckTime is before most working days, in Europe.
const defaultCheckTime = "07:00"

// SelfCheckTime returns when the daily check is, after midnight UTC, or why there is none. A
// server that is tried out checks itself only on request, or if a time is set: what it finds
// on loopback does not change overnight.
func (c *Config) SelfCheckTime() (after time.Duration, off string) {
	switch private := c.Private(); {
	case c.SelfCheck.At == Off:
		return 0, `at in [self-check] is "off"`
	case c.SelfCheck.At == "" && private != "":
		return 0, private
	}
	at, _ := timeOfDay(cmp.Or(c.SelfCheck.At, defaultCheckTime)) // checked by Load
	return at, ""
}

func (l *loading) checkSelfCheck() {
	s := l.config.SelfCheck
	l.checkResolver("self-check.resolver", s.Resolver)
	if s.At == "" || s.At == Off {
		return
	}
	if _, err := timeOfDay(s.At); err != nil {
		l.add("self-check.at", fmt.Sprintf("%q is not a time of day", s.At), `write hour and minute in UTC, such as "07:00", or "off"`)
	}
}

// timeOfDay returns the time after midnight that a text such as 07:00 means.
func timeOfDay(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err
}

// Private says why senders cannot find this server, or returns nothing if they may.
func (c *Config) Private() string {
	_, top, dotted := cutLast(c.Hostname, ".")
	switch {
	case !c.Reachable():
		return "the server listens on this machine only"
	case !dotted:
		return fmt.Sprintf("the hostname %s is not a name in DNS", c.Hostname)
	case strings.Contains(" localhost local internal invalid test ", " "+top+" "): // RFC 6761, RFC 6762
		return fmt.Sprintf("the hostname %s is not a name in the public DNS", c.Hostname)
	}
	return ""
}
