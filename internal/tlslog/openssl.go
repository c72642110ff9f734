package tlslog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"postern/handshake"
)

// readOpenSSL reads the output of OpenSSL's SSL_trace, which s_client -trace and Postfix write,
// and that of -msg.
func readOpenSSL(text []byte) []Session {
	p := &openssl{builder: new(builder)}
	lines(text, p.line)
	p.endRecord()
	p.endSession()
	return p.sessions
}

// An openssl reads a log of OpenSSL.
type openssl struct {
	*builder
	sessions []Session

	sent       bool // the current record is of the program that wrote the log
	recordType int  // of the current record, 0 if not known yet
	length     int  // of the current record, as listed
	named      bool // the current record's content has been listed

	// Of the current ClientHello or ServerHello:
	kind     handshake.MessageType
	size     int    // of the message without header
	hello    *hello // as -trace lists it
	hex      []byte // as -msg lists it
	wantsHex bool
}

var (
	traceRecord  = regexp.MustCompile(`^(Sent|Received) (TLS )?Record`)
	traceType    = regexp.MustCompile(`^  (Inner )?Content Type = \w+ \((\d{1,3})\)`)
	traceLength  = regexp.MustCompile(`^  Length = (\d{1,5})`)
	traceMessage = regexp.MustCompile(`^    ([A-Z][A-Za-z]+), Length=(\d{1,8})`)
	traceAlert   = regexp.MustCompile(`^    Level=(warning|fatal)\(\d+\), description=[^()]*\((\d{1,3})\)`)
	traceTicket  = regexp.MustCompile(`^        ticket \(len=(\d{1,5})\)`)

	msgLine = regexp.MustCompile(`^(>>>|<<<) [^,]*, (\w+) \[length ([0-9a-f]{1,8})\](?:, (.*))?$`)
	msgHex  = regexp.MustCompile(`^    [0-9a-f]{2}(?: [0-9a-f]{2})* *$`)

	errorLine = regexp.MustCompile(`:error:[0-9A-F]+:[^:]*:[^:]*:([^:]*):`)
	errnoLine = regexp.MustCompile(`(?:read|write):errno=(\d+)`)
)

// messageTypes are the handshake messages by OpenSSL's names.
var messageTypes = map[string]handshake.MessageType{
	"HelloRequest":          handshake.TypeHelloRequest,
	"ClientHello":           handshake.TypeClientHello,
	"ServerHello":           handshake.TypeServerHello,
	"HelloRetryRequest":     handshake.TypeHelloRetryRequest,
	"NewSessionTicket":      handshake.TypeNewSessionTicket,
	"EndOfEarlyData":        handshake.TypeEndOfEarlyData,
	"EncryptedExtensions":   handshake.TypeEncryptedExtensions,
	"Certificate":           handshake.TypeCertificate,
	"CompressedCertificate": handshake.TypeCertificate, // RFC 8879
	"ServerKeyExchange":     handshake.TypeServerKeyExchange,
	"CertificateRequest":    handshake.TypeCertificateRequest,
	"ServerHelloDone":       handshake.TypeServerHelloDone,
	"CertificateVerify":     handshake.TypeCertificateVerify,
	"ClientKeyExchange":     handshake.TypeClientKeyExchange,
	"Finished":              handshake.TypeFinished,
	"CertificateStatus":     handshake.TypeCertificateStatus,
	"KeyUpdate":             handshake.TypeKeyUpdate,
}

// line reads a line of the log.
func (p *openssl) line(line string) {
	if m := msgLine.FindStringSubmatch(line); m != nil {
		length, _ := strconv.ParseInt(m[3], 16, 32)
		p.msg(m[1] == ">>>", m[2], int(length), m[4])
		return
	}
	if msgHex.MatchString(line) && p.hexLine(line) {
		return
	}
	p.wantsHex = false
	if m := traceRecord.FindStringSubmatch(line); m != nil {
		p.endRecord()
		p.record(m[1] == "Sent")
		return
	}
	p.trace(line)
	p.ending(line)
}

func (p *openssl) record(sent bool) {
	p.sent, p.recordType, p.length, p.named = sent, 0, 0, false
	if p.begun() && !p.sent {
		p.received = true
	}
}

// trace reads a line of a record in -trace.
func (p *openssl) trace(line string) {
	if m := traceType.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[2])
		switch {
		case m[1] == "":
			p.recordType = n
		case n == 23:
			p.applicationData()
		default:
			p.named = true
		}
		return
	}
	if m := traceLength.FindStringSubmatch(line); m != nil {
		p.length, _ = strconv.Atoi(m[1])
		return
	}
	if m := traceMessage.FindStringSubmatch(line); m != nil {
		length, _ := strconv.Atoi(m[2])
		p.endHello()
		p.message(m[1], length)
		return
	}
	if m := traceAlert.FindStringSubmatch(line); m != nil {
		description, _ := strconv.Atoi(m[2])
		p.alert(m[1] == "fatal", description)
		return
	}
	if m := traceTicket.FindStringSubmatch(line); m != nil && len(p.messages) > 0 {
		size, _ := strconv.Atoi(m[1])
		p.setTicket(size)
		return
	}
	switch {
	case strings.HasPrefix(line, "    change_cipher_spec (1)"):
		p.changeCipherSpec()
	case p.hello != nil:
		p.hello.line(line)
	}
}

// msg reads the first line of a record header or message in -msg.
func (p *openssl) msg(sent bool, what string, length int, name string) {
	p.endHello()
	switch what {
	case "RecordHeader":
		p.endRecord()
		p.record(sent)
		p.wantsHex = true
	case "InnerContent":
		p.wantsHex, p.named = true, true
		p.size = -1 // the next bytes are the type
	case "Handshake":
		p.sent = sent
		p.message(name, max(0, length-4))
		p.hello = nil
		p.wantsHex = true
	case "Alert":
		p.sent = sent
		p.wantsHex, p.kind, p.hex = true, handshake.TypeAlert, nil
	case "ChangeCipherSpec":
		p.sent = sent
		p.changeCipherSpec()
	}
}

// maxHex bounds the bytes of a message that are kept: a ClientHello has at most 64 KiB.
const maxHex = 64<<10 + 512

// hexLine reads a line of bytes in -msg. It reports whether one was expected.
func (p *openssl) hexLine(line string) bool {
	if !p.wantsHex {
		return false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
	switch {
	case err != nil:
		return false
	case p.size == -1: // of InnerContent
		p.size = 0
		if b[0] == 23 {
			p.applicationData()
		}
	case p.recordType == 0 && p.kind == 0 && len(b) == 5:
		p.recordType, p.length = int(b[0]), int(binary.BigEndian.Uint16(b[3:]))
	case p.kind == handshake.TypeAlert:
		if len(b) == 2 {
			p.alert(b[0] == 2, int(b[1]))
		}
		p.kind = 0
	case p.kind != 0 && len(p.hex) < maxHex:
		p.hex = append(p.hex, b...)
	}
	return true
}

// message adds a handshake message that a log names.
func (p *openssl) message(name string, length int) {
	kind := messageTypes[name]
	if kind == handshake.TypeClientHello {
		if p.startsAnother() {
			p.endSession()
		}
		if !p.begun() {
			p.begin(p.sent)
		}
	}
	p.named = true
	if !p.begun() {
		return
	}
	from := p.side(p.sent)
	p.received = !p.sent
	m := handshake.Message{From: from, Type: kind, Size: length + 4, Encrypted: p.recordType == 23}
	switch kind {
	case handshake.TypeClientHello, handshake.TypeServerHello:
		p.kind, p.size, p.hex = kind, length, nil
		p.hello = &hello{server: kind == handshake.TypeServerHello}
	case handshake.TypeFinished:
		p.finished[from] = true
	}
	p.add(m)
}

func (p *openssl) setTicket(size int) {
	last := &p.messages[len(p.messages)-1]
	if last.Type == handshake.TypeNewSessionTicket {
		last.Ticket = &handshake.Ticket{Size: size}
	}
}

func (p *openssl) changeCipherSpec() {
	p.named = true
	if !p.begun() {
		return
	}
	from := p.side(p.sent)
	p.received = !p.sent
	p.add(handshake.Message{From: from, Type: handshake.TypeChangeCipherSpec, Size: 1})
}

func (p *openssl) alert(fatal bool, description int) {
	p.named = true
	if !p.begun() || description > 255 {
		return
	}
	from := p.side(p.sent)
	p.add(handshake.Message{
		From: from, Type: handshake.TypeAlert, Size: 2, Encrypted: p.recordType == 23,
		Alert: &handshake.Alert{Fatal: fatal, Description: handshake.AlertDescription(description)},
	})
}

// applicationData adds the first application data of each side.
func (p *openssl) applicationData() {
	p.named = true
	if !p.begun() {
		return
	}
	from := p.side(p.sent)
	p.received = !p.sent
	if !p.has(from, handshake.TypeApplicationData) {
		p.add(handshake.Message{From: from, Type: handshake.TypeApplicationData, Size: p.length, Encrypted: true})
	}
}

// endHello keeps the ClientHello or ServerHello that has been read.
func (p *openssl) endHello() {
	kind, body := p.kind, p.hex
	if p.hello != nil && body == nil {
		body = p.hello.bytes(p.size)
	} else if len(body) > 4 {
		body = body[4:]
	}
	p.kind, p.hello, p.hex = 0, nil, nil
	switch {
	case len(body) == 0 || len(p.messages) == 0:
	case kind == handshake.TypeClientHello && p.clientHello == nil:
		p.clientHello = body
	case kind == handshake.TypeServerHello && isRetry(body):
		p.messages[len(p.messages)-1].Type = handshake.TypeHelloRetryRequest
	case kind == handshake.TypeServerHello && p.serverHello == nil:
		p.serverHello = body
	}
}

// isRetry reports whether a ServerHello is a HelloRetryRequest, by its random (RFC 8446,
// Section 4.1.3).
func isRetry(body []byte) bool {
	return len(body) >= 6 && bytes.Equal(body[2:6], []byte{0xcf, 0x21, 0xad, 0x74})
}

// endRecord ends a record. Nothing but its header shows a received ChangeCipherSpec and, before
// TLS 1.3, application data.
func (p *openssl) endRecord() {
	p.endHello()
	switch {
	case p.named:
	case p.recordType == 20:
		p.changeCipherSpec()
	case p.recordType == 23:
		p.applicationData()
	}
	p.recordType, p.named, p.wantsHex = 0, false, false
}

func (p *openssl) endSession() {
	if p.begun() && len(p.sessions) <= MaxSessions {
		p.session.Program = "OpenSSL"
		p.sessions = append(p.sessions, p.result())
	}
	p.builder = new(builder)
}

// ending reads what s_client and s_server print when a connection ends. It can stand in the
// middle of a line, if both outputs go into one file.
func (p *openssl) ending(line string) {
	if !p.begun() {
		return
	}
	if m := errorLine.FindStringSubmatch(line); m != nil {
		p.session.Err = shorten(m[1])
		switch {
		case strings.Contains(m[1], "unexpected eof"):
			p.peerClosed = true
		case strings.Contains(m[1], "certificate verify failed") && p.own == handshake.Client:
			p.session.Refused = shorten(m[1])
		}
	}
	if m := errnoLine.FindStringSubmatch(line); m != nil {
		switch m[1] {
		case "0":
			p.peerClosed = true
		case "32", "54", "104": // EPIPE, ECONNRESET of BSD and Linux
			p.peerReset = true
			p.session.Err = "connection reset"
		}
	}
	switch {
	case line == "closed":
		p.peerClosed = true
	case line == "DONE":
		p.ownClosed = true
	case strings.Contains(line, "[TLS trace truncated"):
		p.session.Truncated = true
	}
}

var (
	helloVersion   = regexp.MustCompile(`^      (?:client|server)_version=0x([0-9a-f]{3,4})`)
	helloTime      = regexp.MustCompile(`gmt_unix_time=0x([0-9A-F]{1,8})`)
	helloRandom    = regexp.MustCompile(`random_bytes \(len=28\): ([0-9A-F]{56})`)
	helloSession   = regexp.MustCompile(`^      session_id \(len=(\d{1,2})\):`)
	helloSuite     = regexp.MustCompile(`^(?:        |      cipher_suite )\{0x([0-9A-F]{2}), 0x([0-9A-F]{2})\}`)
	helloExtension = regexp.MustCompile(`^        extension_type=.*\((\d{1,5})\), length=(\d{1,5})`)
	helloDump      = regexp.MustCompile(`^ {10}[0-9a-f]{4} - ((?:[0-9a-f]{2}[ -])+)`)
	helloHexValue  = regexp.MustCompile(`^ {10,12}\S.*\(0x([0-9a-f]{4})\)`)
	helloValue     = regexp.MustCompile(`^ {10,12}\S.*\((\d{1,5})\)$`)
	helloGroup     = regexp.MustCompile(`^ {12}NamedGroup: .*\((\d{1,5})\)`)
	helloKey       = regexp.MustCompile(`^ {12}key_exchange: +\(len=(\d{1,5})\)`)
	helloName      = regexp.MustCompile(`^ {10}([!-~]{1,255})$`)
)

// Bounds of a hello in a log.
const (
	maxListed     = 2048 // suites or values of an extension
	maxExtensions = 256
)

// line reads a line of a hello in -trace.
func (h *hello) line(line string) {
	number := func(text string, base int) uint16 {
		n, _ := strconv.ParseUint(text, base, 16)
		return uint16(n)
	}
	if m := helloExtension.FindStringSubmatch(line); m != nil && len(h.extensions) < maxExtensions {
		h.extensions = append(h.extensions, extension{id: number(m[1], 10), length: int(number(m[2], 10))})
		return
	}
	if len(h.extensions) > 0 {
		h.extensions[len(h.extensions)-1].line(line, number)
		return
	}
	if m := helloVersion.FindStringSubmatch(line); m != nil {
		h.version = number(m[1], 16)
	} else if m := helloTime.FindStringSubmatch(line); m != nil {
		n, _ := strconv.ParseUint(m[1], 16, 32)
		h.random = binary.BigEndian.AppendUint32(nil, uint32(n))
	} else if m := helloRandom.FindStringSubmatch(line); m != nil && len(h.random) == 4 {
		rest, _ := hex.DecodeString(m[1])
		h.random = append(h.random, rest...)
	} else if m := helloSession.FindStringSubmatch(line); m != nil {
		h.sessionID = make([]byte, min(number(m[1], 10), 32))
	} else if m := helloSuite.FindStringSubmatch(line); m != nil && len(h.suites) < maxListed {
		h.suites = append(h.suites, number(m[1]+m[2], 16))
	}
}

// line reads a line of an extension's content.
func (e *extension) line(line string, number func(string, int) uint16) {
	if len(e.values) >= maxListed || len(e.names) >= maxListed || len(e.groups) >= maxListed {
		return
	}
	if m := helloDump.FindStringSubmatch(line); m != nil {
		raw, _ := hex.DecodeString(strings.NewReplacer(" ", "", "-", "").Replace(m[1]))
		e.raw = append(e.raw, raw...)
	} else if m := helloGroup.FindStringSubmatch(line); m != nil {
		e.groups = append(e.groups, keyShare{group: number(m[1], 10)})
	} else if m := helloKey.FindStringSubmatch(line); m != nil && len(e.groups) > 0 {
		e.groups[len(e.groups)-1].length = int(number(m[1], 10))
	} else if m := helloHexValue.FindStringSubmatch(line); m != nil {
		e.values = append(e.values, number(m[1], 16))
	} else if m := helloValue.FindStringSubmatch(line); m != nil {
		e.values = append(e.values, number(m[1], 10))
	} else if m := helloName.FindStringSubmatch(line); m != nil && e.id == extALPN {
		e.names = append(e.names, m[1])
	}
}
