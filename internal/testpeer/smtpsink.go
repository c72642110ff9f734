package testpeer

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

// SMTPSink is Postfix's smtp-sink: an SMTP server without TLS that accepts
// everything and throws it away.
type SMTPSink struct {
	Addr   string // where it listens
	daemon *daemon
}

// sinkConnections is how many connections a sink serves at once; more wait.
const sinkConnections = "1000"

// StartSMTPSink starts a sink, with args added to its arguments: smtp-sink(1).
func StartSMTPSink(t T, args ...string) *SMTPSink {
	t.Helper()
	addr := freeAddr(t)
	flags := []string{"-c", "-m", sinkConnections}
	if os.Geteuid() == 0 {
		flags = append(flags, "-u", "nobody") // it refuses to serve as root
	}
	cmd := exec.Command(program(t, "smtp-sink"), append(append(flags, args...), addr, "1024")...)
	d := startDaemon(t, "smtp-sink", newFolder(t), cmd)
	awaitGreeting(t, d, "tcp", addr)
	return &SMTPSink{addr, d}
}

// sinkCounters is what smtp-sink -c prints over and over on one line.
var sinkCounters = regexp.MustCompile(`mesg=([0-9]+)`)

// Messages tells how many messages the sink has taken in. A message counts
// before its sender gets the reply.
func (s *SMTPSink) Messages() int {
	all := sinkCounters.FindAllStringSubmatch(readLog(s.daemon.output), -1)
	if len(all) == 0 {
		return 0
	}
	count, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		return 0
	}
	return count
}
