package alert

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/netip"
	"strings"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// Mail tells by mail through the next hop.
//
// The envelope's sender is null and Auto-Submitted is set (RFC 3834), so that no program answers,
// and a bounce has nowhere to go: a mail about alerts never leads to another one. It enters no
// session of the server, so it counts nowhere.
type Mail struct {
	Hop  nexthop.Hop
	Host string   // of the server
	From string   // an address
	To   []string // addresses
}

// Name returns "mail".
func (*Mail) Name() string { return "mail" }

// Tell delivers the message. It is an error if the next hop refuses any recipient.
func (m *Mail) Tell(ctx context.Context, message Message) error {
	result := make(chan error, 1) // a next hop bounds its steps, but all of them may take long
	go func() { result <- m.deliver(message) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Mail) deliver(message Message) error {
	text := m.compose(message)
	session := m.Hop.Open(nexthop.Sender{
		SessionID: "alert", Addr: netip.MustParseAddrPort("127.0.0.1:0"), Local: netip.MustParseAddrPort("127.0.0.1:0"),
		Greeting: m.Host, Extended: true,
	})
	defer session.Close()
	answers := []nexthop.Answer{session.Mail(smtp.Mail{Size: int64(len(text))})}
	for _, to := range m.To {
		answers = append(answers, session.Rcpt(smtp.Recipient{To: to}))
	}
	for i, answer := range append(answers, session.Data()) {
		reply := answer()
		if i < len(answers) && reply.Positive() || i == len(answers) && reply.Code == 354 {
			continue
		}
		return fmt.Errorf("next hop: %v", reply)
	}
	if reply := session.Send(bytes.NewReader(text)); !reply.Positive() {
		return fmt.Errorf("next hop: %v", reply)
	}
	return nil
}

// compose returns the message as mail (RFC 5322), with lines that end in CRLF.
func (m *Mail) compose(message Message) []byte {
	var b bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	field("Date", message.Time.UTC().Format(time.RFC1123Z))
	field("From", "Postern <"+m.From+">")
	field("To", strings.Join(m.To, ",\r\n "))
	field("Message-ID", "<"+strings.ToLower(rand.Text())+"@"+m.Host+">")
	field("Subject", mime.QEncoding.Encode("utf-8", oneLine(message.Subject())))
	field("Auto-Submitted", "auto-generated")
	field("Precedence", "bulk") // for vacation programs older than RFC 3834
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	field("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	body.Write([]byte(strings.ReplaceAll(message.Text(), "\n", "\r\n")))
	body.Close()
	if !bytes.HasSuffix(b.Bytes(), []byte("\r\n")) {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// oneLine keeps a header field to itself. Texts are printable already.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
