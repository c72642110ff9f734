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
	"time"
)

// finalReply matches the last line of an SMTP reply (RFC 5321, Section 4.2). TLS tools print
// other lines between replies, so smtp.ReadReply cannot read them.
var finalReply = regexp.MustCompile(`^[2-5][0-9][0-9] `)

const sayEHLO = "EHLO sender.test"

// A dialogue is SMTP through the standard input and output of a TLS tool.
type dialogue struct {
	commands io.Writer
	output   *bufio.Reader
	printed  *bytes.Buffer // everything read from output
}

// A tool is a TLS tool that does STARTTLS and then sends its input unchanged.
type tool struct {
	name   string
	args   []string
	keyLog string // file, see SSLKEYLOGFILE in RFC 9850; empty: none

	before    func(*dialogue) // called before the message, if not nil
	helloOnly bool            // sends EHLO instead of a message
	writes    string          // sends nothing, and ends when the tool has written this file; empty: none
}

// run starts a tool, sends m through it and waits for its end.
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
	before, _ := os.ReadFile(tool.writes) // it need not exist yet
	if err := cmd.Start(); err != nil {
		t.Fatalf("testpeer: starting %s: %v", name, err)
	}

	d := newDialogue(stdin, stdout)
	var delivery Delivery
	if tool.writes != "" {
		awaitChange(ctx, tool.writes, before)
	} else {
		delivery = tool.send(d, m.orDefault())
	}
	_ = stdin.Close()
	_, _ = d.output.WriteTo(io.Discard)
	_ = cmd.Wait() // the status is about the connection, not about the message
	if ctx.Err() != nil {
		t.Fatalf("testpeer: %s has not ended after %v:\n%s%s", name, awaitTimeout, d.printed, &stderr)
	}
	delivery.Output = d.printed.String() + stderr.String()
	return delivery
}

func (tool tool) send(d *dialogue, m Message) Delivery {
	if tool.before != nil {
		tool.before(d)
	}
	if tool.helloOnly {
		defer d.exchange("QUIT\r\n")
		return Delivery{Reply: d.exchange(sayEHLO + "\r\n")}
	}
	return d.deliver(m)
}

// awaitChange waits until a file has another content than before.
func awaitChange(ctx context.Context, path string, before []byte) {
	for ctx.Err() == nil {
		if now, _ := os.ReadFile(path); len(now) > 0 && !bytes.Equal(now, before) {
			return
		}
		time.Sleep(pollInterval)
	}
}

func newDialogue(stdin io.Writer, stdout io.Reader) *dialogue {
	printed := new(bytes.Buffer)
	return &dialogue{stdin, bufio.NewReader(io.TeeReader(stdout, printed)), printed}
}

// deliver sends m, waiting for each reply, and QUIT. The first negative reply ends the message.
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

// exchange sends a command and returns the last line of its reply; empty if there is none or
// the command cannot be written.
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

// OpenSSLOptions configure how `openssl s_client` sends a message.
type OpenSSLOptions struct {
	Message   Message
	Handshake Handshake
	// SessionFile keeps the TLS session between calls: if the file exists, its session is
	// offered; a new session is written to it.
	SessionFile string
	// CAFile has the CA that must have issued the server's certificate, for localhost. Without
	// it any certificate is accepted.
	CAFile string
	// HelloOnly sends EHLO and QUIT over TLS and no message. Then Delivery.Reply is the reply
	// to EHLO.
	HelloOnly bool
	// TicketOnly sends nothing over TLS, waits for a ticket in SessionFile, and closes.
	TicketOnly bool
	// KeyLog is a file to write the session's secrets to (RFC 9850). Empty: none.
	KeyLog string
	// Args are further arguments of s_client.
	Args []string
}

// SendOpenSSL delivers one message to addr with `openssl s_client -starttls smtp`.
func SendOpenSSL(t T, addr string, o OpenSSLOptions) Delivery {
	t.Helper()
	tool := tool{name: "openssl", helloOnly: o.HelloOnly}
	args := []string{"s_client", "-starttls", "smtp", "-connect", addr, "-servername", "localhost"}
	if o.TicketOnly {
		tool.writes = o.SessionFile
	} else {
		args = append(args, "-ign_eof") // else s_client interprets lines that start with R or Q
	}
	args = append(args, o.handshakeArgs()...)
	if o.SessionFile != "" {
		args = append(args, "-sess_out", o.SessionFile)
		if _, err := os.Stat(o.SessionFile); err == nil {
			args = append(args, "-sess_in", o.SessionFile)
		}
	}
	if o.CAFile != "" {
		args = append(args, "-CAfile", o.CAFile, "-verify_hostname", "localhost", "-verify_return_error")
	}
	if o.KeyLog != "" {
		args = append(args, "-keylogfile", o.KeyLog)
	}
	tool.args = append(args, o.Args...)
	d := tool.run(t, o.Message)
	d.Resumed = strings.Contains(d.Output, "\nReused, TLS")
	return d
}

func (o OpenSSLOptions) handshakeArgs() []string {
	switch o.Handshake {
	case RetriedHandshake:
		return []string{"-groups", retryGroups}
	case TLS12Handshake:
		return []string{"-tls1_2"}
	case RSAHandshake:
		return []string{"-sigalgs", rsaSignatures, "-cipher", rsaCiphers}
	}
	return nil
}

// StartOpenSSL starts `openssl s_server` with implicit TLS and returns its address. It sends
// back each line reversed. Args are further arguments such as "-ciphersuites".
func StartOpenSSL(t T, certFile, keyFile string, args ...string) (addr string) {
	t.Helper()
	addr = FreeAddr(t)
	args = append([]string{"s_server", "-accept", addr, "-cert", certFile, "-key", keyFile, "-rev"}, args...)
	d := startDaemon(t, "openssl", newFolder(t), exec.Command(program(t, "openssl"), args...))
	awaitOutput(t, d, "ACCEPT")
	return addr
}

// GnuTLSOptions configure how gnutls-cli sends a message.
type GnuTLSOptions struct {
	Message   Message
	Handshake Handshake
	// CAFile has the CA that must have issued the server's certificate, for localhost. Without
	// it any certificate is accepted.
	CAFile string
	// HelloOnly sends EHLO and QUIT over TLS and no message. Then Delivery.Reply is the reply
	// to EHLO.
	HelloOnly bool
	// KeyLog is a file to write the session's secrets to (RFC 9850). Empty: none.
	KeyLog string
	// Args are further arguments of gnutls-cli.
	Args []string
}

// SendGnuTLS connects to addr twice with gnutls-cli: over the first connection it sends EHLO,
// over the second, which offers the session of the first, the message. It does not use --resume,
// which closes the first connection without a command, before a server that sends its ticket
// with its first reply has sent it.
func SendGnuTLS(t T, addr string, o GnuTLSOptions) Delivery {
	t.Helper()
	host, port := splitAddr(t, addr)
	args := []string{"--starttls-proto=smtp", "--inline-commands", "--port", port, "--priority", o.Handshake.gnutlsPriority()}
	if o.CAFile != "" {
		args = append(args, "--x509cafile", o.CAFile, "--verify-hostname=localhost")
	} else {
		args = append(args, "--insecure")
	}
	args = append(append(args, o.Args...), host)
	d := tool{name: "gnutls-cli", args: args, keyLog: o.KeyLog, before: resume, helloOnly: o.HelloOnly}.run(t, o.Message)
	d.Resumed = strings.Contains(d.Output, "*** This is a resumed session")
	return d
}

// resume makes gnutls-cli reconnect and offer its session.
func resume(d *dialogue) {
	d.exchange(sayEHLO + "\r\n")
	_, _ = io.WriteString(d.commands, "^resume^\n") // after an error there is no reply
}

// SwaksOptions configure how swaks sends a message.
type SwaksOptions struct {
	Message   Message
	Handshake Handshake
	// HelloOnly sends EHLO and QUIT over TLS and no message. Then Delivery.Reply is the reply
	// to EHLO.
	HelloOnly bool
	// Args are further arguments of swaks. They may override the usual ones: "--no-tls".
	Args []string
}

// SendSwaks delivers one message to addr with swaks over STARTTLS. swaks never resumes.
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
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(m.Text, "\n")) // swaks adds the last line end
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("testpeer: swaks has not ended after %v:\n%s", awaitTimeout, output)
	}
	d := Delivery{Delivered: err == nil, Reply: lastSwaksReply(string(output)), Output: string(output)}
	if o.HelloOnly {
		d.Delivered = false
		if err != nil {
			d.Reply = "" // the last one was in plaintext
		}
	}
	return d
}

// lastSwaksReply returns the last reply before that to QUIT. swaks prefixes the server's lines
// with <- or <~, and with a further star if they are negative.
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
