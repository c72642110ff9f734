package handshake

import (
	"crypto/tls"
	"slices"

	"postern/internal/tlsrecord"
)

// name tells the encrypted messages of TLS 1.3 that could not be opened, by their
// order and size, and drops application data but the first of each side. Padding
// (RFC 8446, Section 5.4) and several messages in a record defeat it: those stay
// Unknown.
func (r *Recorder) name(t *Transcript) {
	n := namer{r: r, t: t}
	var room [Server + 1][MaxMessages]int
	client, server := room[Client][:0], room[Server][:0]
	for i, m := range t.Messages {
		switch {
		case m.Type != TypeUnknown || !m.Encrypted || m.Missing > 0:
		case m.From == Client:
			client = append(client, i)
		default:
			server = append(server, i)
		}
	}
	n.finished, n.data = len(t.Messages), len(t.Messages)
	n.client(client)
	n.server(server)
	n.sweep()
}

// A namer names the messages of one transcript, by their index.
type namer struct {
	r     *Recorder
	t     *Transcript
	drop  [MaxMessages]bool
	spoke [Server + 1]bool // data of that side was named

	finished int // the client's Finished; past the end if there is none
	data     int // the client's first data; likewise
	tickets  int // of the server, named so far
}

func (n *namer) as(i int, kind MessageType) {
	n.t.Messages[i].Type, n.t.Messages[i].Inferred = kind, true
}

func (n *namer) size(i int) int { return n.t.Messages[i].Size }

// client names what the client sent: Certificate and CertificateVerify, if any, Finished, and
// data. Data before the ServerHello is early data (RFC 8446, Section 4.2.10).
func (n *namer) client(list []int) {
	list = n.lastAlert(&n.r.client, list)
	early := n.before(list, n.serverHello())
	for k, i := range list[:early] {
		n.as(i, TypeApplicationData)
		n.drop[i] = k > 0
	}
	list = list[early:]
	at := n.find(list, 0)
	if at < 0 {
		return
	}
	n.finished = list[at]
	n.as(list[at], TypeFinished)
	n.certificate(list[:at])
	if rest := list[at+1:]; len(rest) > 0 {
		n.data = rest[0]
		for _, i := range rest {
			n.applicationData(i)
		}
	}
}

// emptyCertificateLen is a Certificate message without one: header, context, list
// (RFC 8446, Section 4.4.2).
const emptyCertificateLen = messageHeaderLen + 1 + 3

func (n *namer) certificate(list []int) {
	switch {
	case len(list) == 1 && n.size(list[0]) == emptyCertificateLen:
		n.as(list[0], TypeCertificate)
	case len(list) == 2:
		n.as(list[0], TypeCertificate)
		n.as(list[1], TypeCertificateVerify)
	}
}

// flights are what the server sends before its Finished, by the number of records:
// resumed, full, and with a client's certificate asked for.
var flights = map[int][]MessageType{
	1: {TypeEncryptedExtensions},
	3: {TypeEncryptedExtensions, TypeCertificate, TypeCertificateVerify},
	4: {TypeEncryptedExtensions, TypeCertificateRequest, TypeCertificate, TypeCertificateVerify},
}

// server names what the server sent: its flight, and what follows it. A flight of
// any other form is left alone: some servers put several messages in a record.
func (n *namer) server(list []int) {
	list = n.lastAlert(&n.r.server, list)
	flight := list[:n.before(list, n.finished)]
	least := 3
	if n.t.ServerHello.Resumed {
		least = 1
	}
	rest := list[len(flight):]
	if at := n.find(flight, least); at >= 0 {
		messages := n.join(flight[:at])
		for k, kind := range flights[len(messages)] {
			n.as(messages[k], kind)
		}
		if flights[len(messages)] != nil {
			n.as(flight[at], TypeFinished)
			rest = list[at+1:]
		}
	}
	n.afterFinished(rest)
}

// find is the place in list of the first Finished at or after from, -1 if there is
// none. No other message of those places has its size: certificates are longer.
func (n *namer) find(list []int, from int) int {
	for at := from; at < len(list); at++ {
		if n.size(list[at]) == n.r.finishedLen() {
			return at
		}
	}
	return -1
}

// before is how many of list come before message i.
func (n *namer) before(list []int, i int) int {
	at := 0
	for at < len(list) && list[at] < i {
		at++
	}
	return at
}

// afterFinished names what the server sent after its Finished: tickets and data.
func (n *namer) afterFinished(list []int) {
	for k, i := range list {
		switch kind := n.ticketOrData(list, k); kind {
		case TypeNewSessionTicket:
			n.as(i, kind)
			n.tickets++
		case TypeApplicationData:
			n.applicationData(i)
		}
	}
}

// ticketOrData says what the k-th record after the server's Finished is, Unknown
// where that cannot be told. A server may send data before the client's Finished
// (RFC 8446, Section 4.4.4); none of a mail server is known to, so that is a ticket.
func (n *namer) ticketOrData(list []int, k int) MessageType {
	i := list[k]
	switch {
	case n.r.ticketsExpected:
		return n.bySize(i)
	case i < n.finished:
		return TypeNewSessionTicket
	case n.t.View == AtServer && (n.tickets > 0 || !n.wantsTicket()):
		return TypeApplicationData // crypto/tls sends one, to a client that can use it
	case n.t.View == AtServer && n.sharesWrite(list, k):
		return TypeNewSessionTicket // crypto/tls writes each record of data by itself: the gate joined them
	case n.isTwin(list, k):
		return TypeNewSessionTicket
	case i > n.data && k > 0:
		return TypeApplicationData
	case i > n.data || n.r.serverFirst:
		return TypeUnknown // a ticket, or the answer
	}
	return TypeNewSessionTicket
}

// isTwin reports whether the k-th record is one of two of the same size that are the
// first: OpenSSL and GnuTLS send two tickets. Answers are shorter, or differ.
func (n *namer) isTwin(list []int, k int) bool {
	return k < 2 && len(list) >= 2 && n.size(list[0]) == n.size(list[1]) && n.size(list[0]) >= minTicket
}

// minTicket is less than any ticket that holds a session: its master secret, 32 to 48
// bytes, a time, a nonce and a tag.
const minTicket = 96

// bySize compares with the next ticket that the server said it made.
func (n *namer) bySize(i int) MessageType {
	if n.tickets < len(n.r.tickets) && n.r.tickets[n.tickets] == n.size(i) {
		return TypeNewSessionTicket
	}
	return TypeApplicationData
}

// sharesWrite reports whether the k-th record and the next left in one write.
func (n *namer) sharesWrite(list []int, k int) bool {
	return k+1 < len(list) && n.t.Messages[list[k]].Write == n.t.Messages[list[k+1]].Write
}

// wantsTicket reports whether the client can use a ticket, so that crypto/tls sends
// one (RFC 8446, Section 4.2.9).
func (n *namer) wantsTicket() bool {
	return n.t.ClientHello == nil || slices.Contains(n.t.ClientHello.PSKModes, pskWithDHE)
}

// pskWithDHE is psk_dhe_ke (RFC 8446, Section 4.2.9).
const pskWithDHE = 1

// lastAlert names a side's last record if it can hold an alert and little else.
func (n *namer) lastAlert(s *stream, list []int) []int {
	last := len(list) - 1
	if last < 0 || n.size(list[last]) != alertLen || s.passed && s.last == nil {
		return list
	}
	n.as(list[last], TypeAlert)
	return list[:last]
}

// serverHello is the place of the ServerHello.
func (n *namer) serverHello() int {
	return slices.IndexFunc(n.t.Messages, func(m Message) bool { return m.Type == TypeServerHello })
}

// applicationData names the first of a side's data and drops the others.
func (n *namer) applicationData(i int) {
	n.as(i, TypeApplicationData)
	from := n.t.Messages[i].From
	n.drop[i], n.spoke[from] = n.spoke[from], true
}

// join makes one message of a record that is full and the next: a long certificate
// chain takes several records.
func (n *namer) join(list []int) []int {
	joined := list[:0]
	full := 0 // bytes of the full records before this one
	for _, i := range list {
		if n.size(i) == tlsrecord.MaxPlaintext {
			full += tlsrecord.MaxPlaintext
			n.drop[i] = true
			continue
		}
		n.t.Messages[i].Size += full
		full = 0
		joined = append(joined, i)
	}
	return joined
}

// sweep takes the dropped messages out of the transcript.
func (n *namer) sweep() {
	kept := n.t.Messages[:0]
	after := n.t.End.After
	for i, m := range n.t.Messages {
		switch {
		case !n.drop[i]:
			kept = append(kept, m)
		case i < n.t.End.After:
			after--
		}
	}
	n.t.Messages, n.t.End.After = kept, after
}

// finishedLen12 is the length of a Finished message before TLS 1.3 (RFC 5246, Section 7.4.9).
const finishedLen12 = messageHeaderLen + 12

// finishedLen is the length of a Finished message of TLS 1.3: a hash of the suite's
// (RFC 8446, Section 4.4.4).
func (r *Recorder) finishedLen() int {
	if r.t.ServerHello != nil && r.t.ServerHello.Suite == 0x1302 { // TLS_AES_256_GCM_SHA384
		return messageHeaderLen + 48
	}
	return messageHeaderLen + 32
}

// contentLen is how much an encrypted record of that length holds if it is not
// padded. For suites that always pad it is the record's length.
func (r *Recorder) contentLen(length int) int {
	if r.t.ServerHello == nil {
		return length
	}
	return max(length-overhead(r.t.ServerHello.Version, r.t.ServerHello.Suite), 0)
}

// overhead is what encryption adds to a record's content: in TLS 1.3 the content
// type and a tag (RFC 8446, Section 5.2), in TLS 1.2 with AEAD suites an explicit
// nonce and a tag (RFC 5288, RFC 6655, RFC 7905).
func overhead(version Version, suite Suite) int {
	switch {
	case version == tls.VersionTLS13 && suite == 0x1305: // CCM_8
		return 1 + 8
	case version == tls.VersionTLS13:
		return 1 + 16
	case suite >= 0xcca8 && suite <= 0xccae: // CHACHA20_POLY1305: no explicit nonce
		return 16
	case suite >= 0x009c && suite <= 0x00a7, suite >= 0xc02b && suite <= 0xc032: // GCM
		return 8 + 16
	case suite >= 0xc09c && suite <= 0xc09f, suite >= 0xc0a4 && suite <= 0xc0a7,
		suite >= 0xc0ac && suite <= 0xc0ad: // CCM
		return 8 + 16
	case suite >= 0xc0a0 && suite <= 0xc0a3, suite >= 0xc0a8 && suite <= 0xc0ab,
		suite >= 0xc0ae && suite <= 0xc0af: // CCM_8
		return 8 + 8
	}
	return 0
}
