package handshake_test

import (
	"net/netip"
	"time"

	. "postern/handshake"
)

// samples are transcripts as recorders make them, by the name of their diagram.
var samples = map[string]func() *Transcript{
	"healthy":            healthy,
	"early-ticket":       earlyTicket,
	"hello-retry":        helloRetry,
	"client-certificate": clientCertificate,
	"alert":              alert,
	"partial-hello":      partialHello,
	"not-tls":            notTLS,
	"sslv2":              sslv2,
	"odd-writes":         oddWrites,
	"too-many":           tooMany,
	"resumed":            resumed,
	"unused":             unused,
	"unacknowledged":     unacknowledged,
	"reset":              reset,
	"format":             format,
	"nothing":            func() *Transcript { return &Transcript{} },
}

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// begin returns what all samples share.
func begin(messages ...Message) *Transcript {
	return &Transcript{
		Start:  time.Date(2024, 10, 24, 9, 15, 2, 123456000, time.UTC),
		Client: netip.MustParseAddrPort("192.0.2.7:51034"),
		Server: netip.MustParseAddrPort("198.51.100.25:25"),
		ClientHello: &ClientHello{
			Size:       512,
			Version:    0x0303,
			Versions:   []Version{0x2a2a, 0x0304, 0x0303},
			Suites:     []Suite{0x2a2a, 0x1301, 0x1302, 0xc02f, 0x00ff},
			Extensions: []Extension{0, 10, 13, 43, 45, 51, 0xff01, 0x1234},
			Groups:     []Group{4588, 29, 23},
			KeyShares:  []Group{29},
			Signatures: []SignatureScheme{0x0804, 0x0403, 0x0401},
			PSKModes:   []PSKMode{1, 0x0b},
			ServerName: "mx.example.org",
			SessionID:  true,
			JA4:        "t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4",
		},
		ServerHello: &ServerHello{Version: 0x0304, Suite: 0x1301, Group: 29},
		Messages:    messages,
	}
}

func sent(from Side, what MessageType, size int, at float64, write int) Message {
	return Message{From: from, Type: what, Size: size, At: ms(at), Write: write}
}

// hidden returns an encrypted message that was inferred.
func hidden(from Side, what MessageType, size int, at float64, write int) Message {
	m := sent(from, what, size, at, write)
	m.Encrypted, m.Inferred = true, true
	return m
}

// flight returns a TLS 1.3 handshake up to the server's Finished.
func flight() []Message {
	return []Message{
		sent(Client, TypeClientHello, 512, 0, 1),
		sent(Server, TypeServerHello, 122, 1.4, 2),
		sent(Server, TypeChangeCipherSpec, 1, 1.4, 2),
		hidden(Server, TypeEncryptedExtensions, 6, 1.4, 2),
		hidden(Server, TypeCertificate, 1187, 1.4, 2),
		hidden(Server, TypeCertificateVerify, 78, 1.4, 2),
		hidden(Server, TypeFinished, 36, 1.4, 2),
	}
}

func healthy() *Transcript {
	t := begin(append(flight(),
		sent(Client, TypeChangeCipherSpec, 1, 39.2, 3),
		hidden(Client, TypeFinished, 36, 39.2, 3),
		hidden(Server, TypeNewSessionTicket, 122, 39.4, 4),
		hidden(Client, TypeApplicationData, 24, 78.5, 5))...)
	t.Completed, t.Use = true, UseMail
	t.End = End{Kind: EndClosed, By: Client, After: 11}
	return t
}

func earlyTicket() *Transcript {
	t := begin(append(flight(), hidden(Server, TypeNewSessionTicket, 122, 1.4, 2))...)
	t.End = End{Kind: EndClosed, By: Client, After: 8, At: ms(41.9), Err: "EOF"}
	t.Acknowledged = AckAll
	return t
}

func helloRetry() *Transcript {
	t := begin(
		sent(Client, TypeClientHello, 326, 0, 1),
		sent(Server, TypeHelloRetryRequest, 88, 0.31, 2),
		sent(Server, TypeChangeCipherSpec, 1, 0.31, 2))
	t.ClientHello.ServerName, t.ClientHello.PSK = "", true
	t.ServerHello = nil
	t.End = End{Kind: EndClosed, By: Client, After: 3, Err: "EOF"}
	return t
}

func clientCertificate() *Transcript {
	t := begin(
		sent(Client, TypeClientHello, 224, 0, 1),
		sent(Server, TypeServerHello, 76, 2.1, 2),
		sent(Server, TypeCertificate, 2934, 2.1, 2),
		sent(Server, TypeServerKeyExchange, 300, 2.1, 2),
		sent(Server, TypeCertificateRequest, 62, 2.1, 2),
		sent(Server, TypeServerHelloDone, 4, 2.1, 2),
		sent(Client, TypeCertificate, 1822, 44.9, 3),
		sent(Client, TypeClientKeyExchange, 70, 44.9, 3),
		sent(Client, TypeCertificateVerify, 264, 44.9, 3),
		sent(Client, TypeChangeCipherSpec, 1, 44.9, 3),
		hidden(Client, TypeFinished, 16, 44.9, 3),
		sent(Server, TypeNewSessionTicket, 1746, 46.3, 4),
		sent(Server, TypeChangeCipherSpec, 1, 46.3, 4),
		hidden(Server, TypeFinished, 16, 46.3, 4),
		hidden(Client, TypeApplicationData, 21, 88.0, 5))
	t.Messages[11].Ticket = &Ticket{Lifetime: 7 * 24 * time.Hour, Size: 1736}
	t.ClientHello.Versions, t.ClientHello.KeyShares, t.ClientHello.PSKModes = nil, nil, nil
	t.ClientHello.SessionID, t.ClientHello.ALPN = false, []string{"smtp", "\x0a\x8a"}
	t.ServerHello = &ServerHello{Version: 0x0303, Suite: 0xc02f}
	t.Completed, t.Use, t.View = true, UseData, OnWire
	return t
}

func alert() *Transcript {
	t := begin(append(flight(), sent(Client, TypeAlert, 2, 41.7, 3))...)
	t.Messages[7].Alert = &Alert{Fatal: true, Description: 48}
	t.Messages[7].Encrypted = true
	t.View = AtClient
	t.End = End{Kind: EndAlert, By: Client, After: 8, Err: "remote error: tls: unknown certificate authority"}
	return t
}

func partialHello() *Transcript {
	m := sent(Client, TypeClientHello, 1555, 0.2, 1)
	m.Missing = 107
	t := begin(m)
	t.ClientHello, t.ServerHello = nil, nil
	t.End = End{Kind: EndTimeout, By: Client, Err: "read tcp 198.51.100.25:25->192.0.2.7:51034: i/o timeout"}
	return t
}

func notTLS() *Transcript {
	t := begin(sent(Client, TypeNotTLS, 21, 0.1, 1))
	t.ClientHello, t.ServerHello, t.NotTLS = nil, nil, []byte("EHLO a.example\r\n")
	t.End = End{Kind: EndDropped, By: Server, After: 1, Err: "tls: first record does not look like a TLS handshake"}
	return t
}

// sslv2 has the ClientHello of SSL 2.0 (RFC 5246, Appendix E.2): more bytes than fit into
// an arrow when they are escaped.
func sslv2() *Transcript {
	t := notTLS()
	t.NotTLS = []byte("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x00\x00\x39\x00\x00")
	return t
}

// oddWrites has brackets that continue across the Finished, and writes without one.
func oddWrites() *Transcript {
	t := begin(
		sent(Client, TypeClientHello, 512, 0, 0),
		sent(Client, TypeClientHello, 512, 0.2, 0),
		sent(Server, TypeServerHello, 122, 1.4, 7),
		sent(Client, TypeAlert, 2, 1.4, 7),
		hidden(Server, TypeEncryptedExtensions, 6, 1.4, 8),
		hidden(Server, TypeFinished, 36, 1.5, 8),
		hidden(Client, TypeFinished, 36, 39.2, 9),
		hidden(Client, TypeApplicationData, 24, 39.2, 9))
	t.Completed, t.Use = true, UseData
	t.End = End{Kind: EndClosed, By: Server, After: 8}
	return t
}

func tooMany() *Transcript {
	t := begin(flight()...)
	for n := 3; len(t.Messages) < MaxMessages; n++ {
		t.Messages = append(t.Messages, hidden(Client, TypeUnknown, 17, float64(n)*700, n))
	}
	t.Omitted = 936
	t.End = End{Kind: EndDropped, By: Server, After: 1000, Err: "tls: too many ignored records"}
	return t
}

func resumed() *Transcript {
	t := begin(
		sent(Client, TypeClientHello, 740, 0, 1),
		sent(Server, TypeServerHello, 128, 0.4, 2),
		sent(Server, TypeChangeCipherSpec, 1, 0.4, 2),
		hidden(Server, TypeEncryptedExtensions, 6, 0.4, 2),
		hidden(Server, TypeFinished, 36, 0.4, 2),
		hidden(Client, TypeFinished, 36, 21.3, 3))
	t.ClientHello.PSK = true
	t.ServerHello.Resumed = true
	t.Completed = true
	return t
}

func unused() *Transcript {
	t := healthy()
	t.Messages = t.Messages[:10]
	t.Use, t.End = UseNone, End{Kind: EndClosed, By: Client, After: 10, Err: "EOF"}
	return t
}

func unacknowledged() *Transcript {
	t := begin(flight()...)
	t.End = End{Kind: EndTimeout, By: Client, After: 7, At: ms(60001.4), Err: "i/o timeout"}
	t.Acknowledged = AckNone
	return t
}

func reset() *Transcript {
	t := begin(flight()...)
	t.ClientHello.ServerName = "evil\x1b[2J\r\n\u202e" + string([]byte{0xff}) + ".bücher.example"
	t.End = End{Kind: EndReset, After: 7, Err: "read: connection reset by peer\x07"}
	return t
}

// format has a value in every field.
func format() *Transcript {
	ticket := hidden(Server, TypeNewSessionTicket, 122, 1.400125, 2)
	ticket.Ticket = &Ticket{Lifetime: 7 * 24 * time.Hour, Size: 96}
	t := begin(sent(Client, TypeClientHello, 512, 0, 1), ticket, sent(Client, TypeAlert, 2, 41.7, 3))
	t.Messages[0].Missing = 2
	t.Messages[2].Alert = &Alert{Fatal: true, Description: 48}
	t.Server = netip.MustParseAddrPort("[2001:db8::25]:25")
	t.ClientHello = &ClientHello{
		Size:       512,
		Version:    0x0303,
		Versions:   []Version{0x2a2a, 0x0304, 0x0303},
		Suites:     []Suite{0x1301, 0x1399},
		Extensions: []Extension{0, 51},
		Groups:     []Group{29},
		KeyShares:  []Group{},
		Signatures: []SignatureScheme{0x0804},
		PSKModes:   []PSKMode{1, 0x0b},
		ALPN:       []string{"smtp", "\x0a\x8a"},
		ServerName: "mx.example.org",
		SessionID:  true,
		JA4:        "t13d0202h0",
	}
	t.Omitted, t.NotTLS = 3, []byte("EHLO\r\n")
	t.End = End{Kind: EndTimeout, By: Client, After: 3, At: ms(60041.75), Err: "EOF"}
	t.Acknowledged = AckPart
	return t
}
