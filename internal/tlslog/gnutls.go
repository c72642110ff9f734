package tlslog

import (
	"regexp"
	"strconv"
	"strings"

	"postern/handshake"
)

var (
	gnutlsSent      = regexp.MustCompile(`HSK\[[^\]]*\]: ([A-Z_ ]+) was queued \[(\d{1,8}) bytes\]`)
	gnutlsReceived  = regexp.MustCompile(`HSK\[[^\]]*\]: ([A-Z_ ]+) \(\d+\) was received\. Length \d+\[(\d{1,8})\], frag offset 0`)
	gnutlsAlert     = regexp.MustCompile(`REC\[[^\]]*\]: (Sending )?Alert\[(\d)\|(\d{1,3})\]`)
	gnutlsReport    = regexp.MustCompile(`^\*\*\* Received alert \[(\d{1,3})\]`)
	gnutlsFatal     = regexp.MustCompile(`^\*\*\* Fatal error: (.*)`)
	gnutlsSuite     = regexp.MustCompile(`Keeping ciphersuite ([0-9a-f]{2})\.([0-9a-f]{2}) \((\w+)\)`)
	gnutlsChosen    = regexp.MustCompile(`Selected cipher suite: (\w+)`)
	gnutlsVersion   = regexp.MustCompile(`(?:Negotiated version|Server's version): 3\.(\d)`)
	gnutlsOffers    = regexp.MustCompile(`Advertizing version 3\.(\d)`)
	gnutlsGroup     = regexp.MustCompile(`Sent group (\S+) \(0x([0-9a-f]{1,4})\)`)
	gnutlsShare     = regexp.MustCompile(`sending key share for (\S+)`)
	gnutlsSignature = regexp.MustCompile(`sent signature algo \((\d{1,2})\.(\d{1,2})\)`)
	gnutlsExtension = regexp.MustCompile(`Sending extension [^/]*/(\d{1,5}) \((\d{1,5}) bytes\)`)
)

var gnutlsMessages = map[string]handshake.MessageType{
	"HELLO REQUEST":        handshake.TypeHelloRequest,
	"CLIENT HELLO":         handshake.TypeClientHello,
	"SERVER HELLO":         handshake.TypeServerHello,
	"HELLO RETRY REQUEST":  handshake.TypeHelloRetryRequest,
	"NEW SESSION TICKET":   handshake.TypeNewSessionTicket,
	"END OF EARLY DATA":    handshake.TypeEndOfEarlyData,
	"ENCRYPTED EXTENSIONS": handshake.TypeEncryptedExtensions,
	"CERTIFICATE":          handshake.TypeCertificate,
	"SERVER KEY EXCHANGE":  handshake.TypeServerKeyExchange,
	"CERTIFICATE REQUEST":  handshake.TypeCertificateRequest,
	"SERVER HELLO DONE":    handshake.TypeServerHelloDone,
	"CERTIFICATE VERIFY":   handshake.TypeCertificateVerify,
	"CLIENT KEY EXCHANGE":  handshake.TypeClientKeyExchange,
	"FINISHED":             handshake.TypeFinished,
	"CERTIFICATE STATUS":   handshake.TypeCertificateStatus,
	"KEY UPDATE":           handshake.TypeKeyUpdate,
	"KEY_UPDATE":           handshake.TypeKeyUpdate,
}

// readGnuTLS reads the output of gnutls-cli -d 4 and higher.
func readGnuTLS(text []byte) []Session {
	p := &gnutls{builder: new(builder)}
	p.forget()
	lines(text, p.line)
	p.endSession()
	return p.sessions
}

// A gnutls reads a log of GnuTLS.
type gnutls struct {
	*builder
	sessions []Session

	// What is said about the next ClientHello, before it.
	offered    hello
	versions   []uint16
	signatures []uint16
	groups     []uint16
	shares     []uint16
	byName     map[string]uint16 // suites and groups
}

// forget begins a new ClientHello.
func (p *gnutls) forget() {
	p.offered = hello{version: 0x0303}
	p.versions, p.signatures, p.groups, p.shares = nil, nil, nil, nil
	if p.byName == nil {
		p.byName = make(map[string]uint16)
	}
}

func (p *gnutls) line(line string) {
	if m := gnutlsSent.FindStringSubmatch(line); m != nil {
		size, _ := strconv.Atoi(m[2])
		p.message(true, m[1], size)
	} else if m := gnutlsReceived.FindStringSubmatch(line); m != nil {
		length, _ := strconv.Atoi(m[2])
		p.message(false, m[1], length+4)
	} else if strings.HasPrefix(line, "|<4>| REC[") && strings.HasSuffix(line, "Sent ChangeCipherSpec") {
		p.record(true, handshake.Message{Type: handshake.TypeChangeCipherSpec, Size: 1})
	} else if m := gnutlsAlert.FindStringSubmatch(line); m != nil {
		p.alert(m[1] != "", m[2] == "2", m[3])
	} else if m := gnutlsReport.FindStringSubmatch(line); m != nil {
		p.alert(false, true, m[1])
	} else if m := gnutlsFatal.FindStringSubmatch(line); m != nil {
		p.fatal(m[1])
	} else if strings.HasPrefix(line, "- Peer has closed the GnuTLS connection") {
		p.alert(false, false, "0")
	} else {
		p.negotiates(line)
	}
}

func (p *gnutls) message(sent bool, name string, size int) {
	kind := gnutlsMessages[name]
	if kind == handshake.TypeClientHello {
		if p.startsAnother() {
			p.endSession()
		}
		if !p.begun() {
			p.begin(sent)
		}
		if p.clientHello == nil && sent {
			p.clientHello = p.hello(size - 4)
		}
		p.forget()
	}
	if kind == handshake.TypeFinished && p.begun() {
		p.finished[p.side(sent)] = true
	}
	p.record(sent, handshake.Message{Type: kind, Size: size})
}

func (p *gnutls) record(sent bool, m handshake.Message) {
	if !p.begun() {
		return
	}
	m.From = p.side(sent)
	p.received = !sent
	p.add(m)
}

// alert adds an alert, unless the log has named it already.
func (p *gnutls) alert(sent, fatal bool, number string) {
	n, _ := strconv.ParseUint(number, 10, 8)
	description := handshake.AlertDescription(n)
	if last := len(p.messages) - 1; last >= 0 && p.messages[last].Alert != nil && p.messages[last].Alert.Description == description {
		return
	}
	p.record(sent, handshake.Message{Type: handshake.TypeAlert, Size: 2, Alert: &handshake.Alert{Fatal: fatal, Description: description}})
}

// fatal reads the error with which gnutls-cli ends.
func (p *gnutls) fatal(text string) {
	p.session.Err = shorten(text)
	switch {
	case strings.Contains(text, "non-properly terminated"):
		p.peerClosed = true
	case strings.Contains(text, "pull function"), strings.Contains(text, "push function"):
		p.peerReset = true
	case strings.Contains(text, "Error in the certificate"):
		p.session.Refused = shorten(text)
	}
}

// negotiates reads what a side offers or chooses.
func (p *gnutls) negotiates(line string) {
	number := func(text string, base int) uint16 {
		n, _ := strconv.ParseUint(text, base, 16)
		return uint16(n)
	}
	if len(p.offered.suites) >= maxListed || len(p.offered.extensions) >= maxExtensions || len(p.byName) >= 2*maxListed ||
		len(p.versions)+len(p.signatures)+len(p.groups)+len(p.shares) >= maxListed {
		return
	}
	if m := gnutlsSuite.FindStringSubmatch(line); m != nil {
		suite := number(m[1]+m[2], 16)
		p.offered.suites, p.byName[m[3]] = append(p.offered.suites, suite), suite
	} else if m := gnutlsOffers.FindStringSubmatch(line); m != nil {
		p.versions = append(p.versions, 0x0300|number(m[1], 10))
	} else if m := gnutlsGroup.FindStringSubmatch(line); m != nil {
		group := number(m[2], 16)
		p.groups, p.byName[m[1]] = append(p.groups, group), group
	} else if m := gnutlsShare.FindStringSubmatch(line); m != nil {
		p.shares = append(p.shares, p.byName[m[1]])
	} else if m := gnutlsSignature.FindStringSubmatch(line); m != nil {
		p.signatures = append(p.signatures, number(m[1], 10)<<8|number(m[2], 10))
	} else if m := gnutlsExtension.FindStringSubmatch(line); m != nil {
		p.offered.extensions = append(p.offered.extensions, extension{id: number(m[1], 10), length: int(number(m[2], 10))})
	} else if m := gnutlsChosen.FindStringSubmatch(line); m != nil {
		p.suite = handshake.Suite(p.byName[m[1]])
	} else if m := gnutlsVersion.FindStringSubmatch(line); m != nil {
		p.version = handshake.Version(0x0300 | number(m[1], 10))
	}
}

// keySizes are the lengths of public keys in key_share.
var keySizes = map[uint16]int{23: 65, 24: 97, 25: 133, 29: 32, 30: 56, 256: 256, 257: 384, 258: 512, 259: 768, 260: 1024}

// hello returns the ClientHello, if the log says enough of it. Whether it has a session ID the
// log does not say: its length does.
func (p *gnutls) hello(length int) []byte {
	for i := range p.offered.extensions {
		switch e := &p.offered.extensions[i]; e.id {
		case 0, extALPN:
			return nil // their content is not listed
		case extSupportedGroups:
			e.values = p.groups
		case extSignatureAlgorithms:
			e.values = p.signatures
		case extSupportedVersions:
			e.values = p.versions
		case extPSKModes: // those that GnuTLS supports
			e.values = []uint16{1, 0}[:min(2, max(0, e.length-1))]
		case extKeyShare:
			for _, group := range p.shares {
				e.groups = append(e.groups, keyShare{group, keySizes[group]})
			}
		}
	}
	if body := p.offered.bytes(length); body != nil {
		return body
	}
	p.offered.sessionID = make([]byte, 32)
	return p.offered.bytes(length)
}

func (p *gnutls) endSession() {
	if p.begun() && len(p.sessions) <= MaxSessions {
		p.session.Program = "GnuTLS"
		p.sessions = append(p.sessions, p.result())
	}
	p.builder = new(builder)
}
