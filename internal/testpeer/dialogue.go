package testpeer

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// finalReply is the last or only line of an SMTP reply (RFC 5321, Section
// 4.2), alone on its line among what a TLS tool prints of its own.
var finalReply = regexp.MustCompile(`^[2-5][0-9][0-9] `)

const sayEHLO = "EHLO sender.test"

// dialogue is SMTP through the standard input and output of a TLS tool.
type dialogue struct {
	commands io.Writer
	output   *bufio.Reader
	seen     *bytes.Buffer // everything read from output
}

// A tool is a TLS tool that passes its input on as it is once it has done STARTTLS.
type tool struct {
	name   string
	args   []string
	keyLog string // file, see SSLKEYLOGFILE in RFC 9850; empty: none

	before    func(*dialogue) // what comes before the message; nil: nothing
	helloOnly bool            // instead of a message
}

// run starts a tool, sends m through it and lets it end.
func (tool tool) run(t T, m Message) Delivery {
	t.Helper()
	name := tool.name
	ctx, cancel := context.WithTimeout(contextOf(t), awaitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), tool.args...)
	if tool.keyLog != "" {
		cmd.Env = append(os.Environ(), "SSLKEYLOGFILE="+tool.keyLog)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("testpeer: starting %s: %v", name, err)
	}

	d := newDialogue(stdin, stdout)
	delivery := tool.play(d, m.orDefault())
	_ = stdin.Close()
	_, _ = d.output.WriteTo(io.Discard)
	_ = cmd.Wait() // a tool's status tells about its connection, not about the message
	if ctx.Err() != nil {
		t.Fatalf("testpeer: %s has not ended after %v:\n%s%s", name, awaitTimeout, d.seen, &stderr)
	}
	delivery.Output = d.seen.String() + stderr.String()
	return delivery
}

func (tool tool) play(d *dialogue, m Message) Delivery {
	if tool.before != nil {
		tool.before(d)
	}
	if tool.helloOnly {
		defer d.exchange("QUIT\r\n")
		return Delivery{Reply: d.exchange(sayEHLO + "\r\n")}
	}
	return d.deliver(m)
}

func newDialogue(stdin io.Writer, stdout io.Reader) *dialogue {
	seen := new(bytes.Buffer)
	return &dialogue{stdin, bufio.NewReader(io.TeeReader(stdout, seen)), seen}
}

// deliver sends m, each command after the reply to the one before, and says
// QUIT. The first reply that is not the one hoped for ends the message.
func (d *dialogue) deliver(m Message) Delivery {
	defer d.exchange("QUIT\r\n")
	reply := ""
	for _, command := range append([]string{sayEHLO}, m.envelope()...) {
		reply = d.exchange(command + "\r\n")
		if !strings.HasPrefix(reply, "2") && !strings.HasPrefix(reply, "354") {
			return Delivery{Reply: reply}
		}
	}
	reply = d.exchange(m.dotted())
	return Delivery{Delivered: strings.HasPrefix(reply, "250 "), Reply: reply}
}

// exchange sends a command and returns the last line of its reply, empty when
// there is none. An error in writing shows as no reply.
func (d *dialogue) exchange(command string) string {
	_, _ = io.WriteString(d.commands, command)
	for {
		line, err := d.output.ReadString('\n')
		if finalReply.MatchString(line) {
			return strings.TrimSpace(line)
		}
		if err != nil {
			return ""
		}
	}
}
