package tlslog

import (
	"crypto/tls"
	"maps"
	"regexp"
	"slices"
	"strings"

	"postern/handshake"
)

var (
	postfixLine        = regexp.MustCompile(`postfix[^ \[]*/smtpd?\[(\d{1,10})\]: (.*)$`)
	postfixState       = regexp.MustCompile(`^SSL_(?:accept|connect):(SSLv3/TLS|TLSv1\.3) (read|write) (.*)$`)
	postfixBegin       = regexp.MustCompile(`^setting up TLS connection (from|to) `)
	postfixAlert       = regexp.MustCompile(`^SSL3 alert (read|write):(warning|fatal):(.*)$`)
	postfixError       = regexp.MustCompile(`^SSL_(?:accept|connect) error (?:from|to) .*: (.*)$`)
	postfixEstablished = regexp.MustCompile(`TLS connection established (?:from|to) .*: (TLSv1(?:\.\d)?) with cipher (\S+)`)
)

// postfixStates are the states of OpenSSL in which a message has been read or written.
var postfixStates = map[string]handshake.MessageType{
	"client hello":               handshake.TypeClientHello,
	"server hello":               handshake.TypeServerHello,
	"change cipher spec":         handshake.TypeChangeCipherSpec,
	"encrypted extensions":       handshake.TypeEncryptedExtensions,
	"certificate":                handshake.TypeCertificate,
	"client certificate":         handshake.TypeCertificate,
	"server certificate":         handshake.TypeCertificate,
	"certificate request":        handshake.TypeCertificateRequest,
	"server certificate request": handshake.TypeCertificateRequest,
	"server certificate verify":  handshake.TypeCertificateVerify,
	"certificate verify":         handshake.TypeCertificateVerify,
	"certificate status":         handshake.TypeCertificateStatus,
	"key exchange":               handshake.TypeServerKeyExchange,
	"server key exchange":        handshake.TypeServerKeyExchange,
	"server done":                handshake.TypeServerHelloDone,
	"client key exchange":        handshake.TypeClientKeyExchange,
	"finished":                   handshake.TypeFinished,
	"session ticket":             handshake.TypeNewSessionTicket,
	"server session ticket":      handshake.TypeNewSessionTicket,
}

var postfixVersions = map[string]handshake.Version{
	"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

// maxProcesses bounds the processes whose lines are interleaved in a log.
const maxProcesses = 1000

// readPostfix reads Postfix's mail log with smtpd_tls_loglevel or smtp_tls_loglevel = 2. It
// names the messages, and says of a failed handshake how it ended. Of a complete one it does
// not: the callback that writes the log has been removed then.
func readPostfix(text []byte) []Session {
	p := &postfix{running: make(map[string]*builder)}
	lines(text, func(line string) {
		if m := postfixLine.FindStringSubmatch(line); m != nil {
			p.line(m[1], m[2])
		}
	})
	for _, process := range slices.Sorted(maps.Keys(p.running)) {
		p.end(process)
	}
	return p.sessions
}

// A postfix reads Postfix's mail log.
type postfix struct {
	sessions []Session
	running  map[string]*builder // by process
}

func (p *postfix) line(process, text string) {
	b := p.running[process]
	if m := postfixBegin.FindStringSubmatch(text); m != nil {
		p.end(process)
		if len(p.running) < maxProcesses {
			b = new(builder)
			b.begin(m[1] == "to")
			p.running[process] = b
		}
		return
	}
	if b == nil {
		return
	}
	if m := postfixState.FindStringSubmatch(text); m != nil {
		b.state(m[2] == "write", m[3], m[1] == "TLSv1.3")
	} else if m := postfixAlert.FindStringSubmatch(text); m != nil {
		b.postfixAlert(m[1] == "write", m[2] == "fatal", m[3])
	} else if m := postfixError.FindStringSubmatch(text); m != nil {
		b.failed(m[1])
		p.end(process)
	} else if m := postfixEstablished.FindStringSubmatch(text); m != nil {
		b.session.Negotiated = shorten(m[1] + " with cipher " + m[2])
		b.version = postfixVersions[m[1]]
		p.end(process)
	} else if strings.HasPrefix(text, "disconnect from ") {
		p.end(process)
	}
}

// state adds a message of the handshake. OpenSSL reports some states twice.
func (b *builder) state(sent bool, name string, tls13 bool) {
	if tls13 {
		b.version = tls.VersionTLS13
	}
	kind, known := postfixStates[name]
	m := handshake.Message{From: b.side(sent), Type: kind}
	if last := len(b.messages) - 1; !known || last >= 0 && b.messages[last].Type == kind && b.messages[last].From == m.From && kind != handshake.TypeNewSessionTicket {
		return
	}
	if kind == handshake.TypeFinished {
		b.finished[m.From] = true
	}
	b.received = !sent
	b.add(m)
}

// postfixAlert adds an alert that OpenSSL names in words.
func (b *builder) postfixAlert(sent, fatal bool, name string) {
	name = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"))
	for n := range 256 {
		if description := handshake.AlertDescription(n); description.String() == name {
			b.add(handshake.Message{From: b.side(sent), Type: handshake.TypeAlert, Size: 2, Alert: &handshake.Alert{Fatal: fatal, Description: description}})
			return
		}
	}
}

// failed reads how a failed handshake ended, in the words of Postfix and the system.
func (b *builder) failed(text string) {
	if text != "-1" { // then the next line has OpenSSL's error
		b.session.Err = shorten(text)
	}
	switch {
	case strings.Contains(text, "lost connection"):
		b.peerClosed = true
	case strings.Contains(text, "reset by peer"):
		b.peerReset = true
	case strings.Contains(text, "timed out"):
		b.timedOut = true
	}
}

// end ends the session of a process.
func (p *postfix) end(process string) {
	b := p.running[process]
	delete(p.running, process)
	if b != nil && len(b.messages) > 0 && len(p.sessions) <= MaxSessions {
		b.session.Program = "Postfix"
		p.sessions = append(p.sessions, b.result())
	}
}
