package testpeer

import (
	"context"
	"os"
	"os/exec"
	"strings"
)

// SwaksOptions says how swaks sends its message.
type SwaksOptions struct {
	Message   Message
	Handshake Handshake
	// HelloOnly says EHLO and QUIT over TLS, and delivers nothing. Then Delivery.Reply
	// is what came to EHLO.
	HelloOnly bool
	// Args are further arguments of swaks. They may undo the usual ones: "--no-tls".
	Args []string
}

// SendSwaks delivers one message to addr with swaks, over STARTTLS. swaks never resumes.
func SendSwaks(t T, addr string, o SwaksOptions) Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(contextOf(t), awaitTimeout)
	defer cancel()
	m := o.Message.orDefault()
	host, port := splitAddr(t, addr)
	args := []string{
		"--server", host, "--port", port, "--tls", "--tls-sni", "localhost",
		"--helo", "sender.test", "--from", m.From, "--to", m.To, "--data", "-",
	}
	if o.HelloOnly {
		args = append(args, "--quit-after", "EHLO")
	}
	cmd := exec.CommandContext(ctx, program(t, "swaks"), append(args, o.Args...)...)
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+o.Handshake.opensslConfig(t, newFolder(t)))
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(m.Text, "\n")) // swaks ends the last line itself
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("testpeer: swaks has not ended after %v:\n%s", awaitTimeout, output)
	}
	d := Delivery{Delivered: err == nil, Reply: lastSwaksReply(string(output)), Output: string(output)}
	if o.HelloOnly {
		d.Delivered = false
		if err != nil {
			d.Reply = "" // the last one was in clear
		}
	}
	return d
}

// lastSwaksReply finds the reply before the one to QUIT. swaks marks what a
// server says with <- or <~ in front, and a refusal with a further star.
func lastSwaksReply(output string) string {
	reply := ""
	for line := range strings.Lines(output) {
		_, text, _ := strings.Cut(line, " ")
		text = strings.TrimSpace(text)
		if strings.HasPrefix(line, "<") && !strings.HasPrefix(text, "221 ") {
			reply = text
		}
	}
	return reply
}
