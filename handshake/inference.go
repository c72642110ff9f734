package handshake

import (
	"slices"

	"postern/internal/tlsrecord"
)

// infer names the encrypted messages of TLS 1.3 that could not be opened, by their order
// and size, and drops application data except the first of each side. Padding (RFC 8446,
// Section 5.4) and several messages in a record prevent it: those stay TypeUnknown.
func (r *Recorder) infer(t *Transcript) {
	n := inference{r: r, t: t, finished: len(t.Messages), data: len(t.Messages)}
	var array [Server + 1][MaxMessages]int
	client, server := array[Client][:0], array[Server][:0]
	for i, m := range t.Messages {
		switch {
		case m.Type != TypeUnknown || !m.Encrypted || m.Missing > 0:
		case m.From == Client:
			client = append(client, i)
		default:
			server = append(server, i)
		}
	}
	n.client(client)
	n.server(server)
	n.removeDropped()
}

// An inference names the messages of one transcript. Messages are given by their index.
type inference struct {
	r        *Recorder
	t        *Transcript
	drop     [MaxMessages]bool
	sentData [Server + 1]bool // the side's first data is named

	finished int // the client's Finished; past the end if there is none
	data     int // the client's first data; likewise
	tickets  int // of the server, named so far
}

func (n *inference) set(i int, messageType MessageType) {
	n.t.Messages[i].Type, n.t.Messages[i].Inferred = messageType, true
}

func (n *inference) size(i int) int { return n.t.Messages[i].Size }

// client names what the client sent: Certificate and CertificateVerify, if any, Finished, and
// data. Data before the ServerHello is early data (RFC 8446, Section 4.2.10).
func (n *inference) client(list []int) {
	list = n.lastAlert(&n.r.client, list)
	early := countBefore(list, n.serverHello())
	for k, i := range list[:early] {
		n.set(i, TypeApplicationData)
		n.drop[i] = k > 0
	}
	list = list[early:]
	at := n.findFinished(list, 0)
	if at < 0 && len(list) > 0 && n.isFinishedWithSettings(list[0]) {
		at = 0
	}
	if at < 0 {
		return
	}
	n.finished = list[at]
	n.set(list[at], TypeFinished)
	n.clientCertificate(list[:at])
	if rest := list[at+1:]; len(rest) > 0 {
		n.data = rest[0]
		for _, i := range rest {
			n.applicationData(i)
		}
	}
}

// isFinishedWithSettings reports whether a record is the client's Finished behind its own
// EncryptedExtensions, which browsers send that negotiated application settings
// (draft-vvv-tls-alps): a header, a list, and one extension with little or nothing in it.
func (n *inference) isFinishedWithSettings(i int) bool {
	const least, most = messageHeaderLen + 2, messageHeaderLen + 2 + 4 + 8
	h, more := n.t.ClientHello, n.size(i)-n.r.finishedLen()
	return h != nil && least <= more && more <= most &&
		(slices.Contains(h.Extensions, extApplicationSettings) || slices.Contains(h.Extensions, extOldApplicationSettings))
}

// emptyCertificateLen is the length of a Certificate message without a certificate:
// header, context, list (RFC 8446, Section 4.4.2).
const emptyCertificateLen = messageHeaderLen + 1 + 3

func (n *inference) clientCertificate(list []int) {
	switch {
	case len(list) == 1 && n.size(list[0]) == emptyCertificateLen:
		n.set(list[0], TypeCertificate)
	case len(list) == 2:
		n.set(list[0], TypeCertificate)
		n.set(list[1], TypeCertificateVerify)
	}
}

// flights are what the server sends before its Finished, by the number of records:
// resumed, full, and with a request for a client certificate.
var flights = map[int][]MessageType{
	1: {TypeEncryptedExtensions},
	3: {TypeEncryptedExtensions, TypeCertificate, TypeCertificateVerify},
	4: {TypeEncryptedExtensions, TypeCertificateRequest, TypeCertificate, TypeCertificateVerify},
}

// server names what the server sent: its flight, and what follows. A flight of another
// form is left alone: some servers put several messages into a record.
func (n *inference) server(list []int) {
	list = n.lastAlert(&n.r.server, list)
	flight := list[:countBefore(list, n.finished)]
	least := 3
	if n.t.ServerHello.Resumed {
		least = 1
	}
	rest := list[len(flight):]
	if at := n.findFinished(flight, least); at >= 0 {
		messages := n.joinFullRecords(flight[:at])
		for k, messageType := range flights[len(messages)] {
			n.set(messages[k], messageType)
		}
		if flights[len(messages)] != nil {
			n.set(flight[at], TypeFinished)
			rest = list[at+1:]
		}
	}
	n.afterServerFinished(rest)
}

// findFinished returns the position in list of the first Finished at or after from, -1 if
// there is none. No other message there has its size: certificates are longer.
func (n *inference) findFinished(list []int, from int) int {
	for at := from; at < len(list); at++ {
		if n.size(list[at]) == n.r.finishedLen() {
			return at
		}
	}
	return -1
}

// countBefore returns how many of list, which is sorted, are less than i.
func countBefore(list []int, i int) int {
	n, _ := slices.BinarySearch(list, i)
	return n
}

// afterServerFinished names what the server sent after its Finished: tickets and data.
func (n *inference) afterServerFinished(list []int) {
	for k, i := range list {
		switch n.ticketOrData(list, k) {
		case TypeNewSessionTicket:
			n.set(i, TypeNewSessionTicket)
			n.tickets++
		case TypeApplicationData:
			n.applicationData(i)
		}
	}
}

// ticketOrData returns the type of the k-th record after the server's Finished,
// TypeUnknown if it may be either. A server may send data before the client's Finished
// (RFC 8446, Section 4.4.4); no mail server is known to, so that is a ticket.
func (n *inference) ticketOrData(list []int, k int) MessageType {
	i := list[k]
	switch {
	case n.r.ticketsExpected:
		return n.bySize(i)
	case i < n.finished && n.t.Gaps.lacks(Client):
		return n.twinOrUnknown(list, k)
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
		return TypeUnknown // a ticket, or the reply
	}
	return TypeNewSessionTicket
}

// twinOrUnknown returns the type of the k-th record if the client's side is missing, so that
// it may have answered before.
func (n *inference) twinOrUnknown(list []int, k int) MessageType {
	if n.isTwin(list, k) {
		return TypeNewSessionTicket
	}
	return TypeUnknown
}

// isTwin reports whether the k-th record is one of the first two and they have the same
// size: OpenSSL and GnuTLS send two tickets. Replies are shorter, or differ.
func (n *inference) isTwin(list []int, k int) bool {
	return k < 2 && len(list) >= 2 && n.size(list[0]) == n.size(list[1]) && n.size(list[0]) >= minTicket
}

// minTicket is less than the length of any ticket that holds a session: its master
// secret, 32 to 48 bytes, a time, a nonce and a tag.
const minTicket = 96

// bySize compares the record with the next ticket that the server announced.
func (n *inference) bySize(i int) MessageType {
	if n.tickets < len(n.r.tickets) && n.r.tickets[n.tickets] == n.size(i) {
		return TypeNewSessionTicket
	}
	return TypeApplicationData
}

// sharesWrite reports whether the k-th record and the next were sent in one write.
func (n *inference) sharesWrite(list []int, k int) bool {
	return k+1 < len(list) && n.t.Messages[list[k]].Write == n.t.Messages[list[k+1]].Write
}

// wantsTicket reports whether the client can use a ticket, so that crypto/tls sends one
// (RFC 8446, Section 4.2.9).
func (n *inference) wantsTicket() bool {
	return n.t.ClientHello == nil || slices.Contains(n.t.ClientHello.PSKModes, pskWithDHE)
}

// pskWithDHE is psk_dhe_ke (RFC 8446, Section 4.2.9).
const pskWithDHE = 1

// lastAlert names a side's last record if it has the size of an alert, and returns the
// others.
func (n *inference) lastAlert(s *stream, list []int) []int {
	last := len(list) - 1
	if last < 0 || n.size(list[last]) != alertLen || s.dataSkipped && s.lastSkipped == nil {
		return list
	}
	n.set(list[last], TypeAlert)
	return list[:last]
}

func (n *inference) serverHello() int {
	return slices.IndexFunc(n.t.Messages, func(m Message) bool { return m.Type == TypeServerHello })
}

// applicationData names a side's first data and drops the rest.
func (n *inference) applicationData(i int) {
	n.set(i, TypeApplicationData)
	from := n.t.Messages[i].From
	n.drop[i], n.sentData[from] = n.sentData[from], true
}

// joinFullRecords makes one message of a full record and the next: a long certificate
// chain takes several records.
func (n *inference) joinFullRecords(list []int) []int {
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

func (n *inference) removeDropped() {
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

// finishedLenTLS12 is the length of a Finished message before TLS 1.3 (RFC 5246, Section
// 7.4.9).
const finishedLenTLS12 = messageHeaderLen + 12

// finishedLen returns the length of a Finished message of TLS 1.3: that of the suite's
// hash (RFC 8446, Section 4.4.4).
func (r *Recorder) finishedLen() int {
	if r.t.ServerHello != nil && r.t.ServerHello.Suite == 0x1302 { // TLS_AES_256_GCM_SHA384
		return messageHeaderLen + 48
	}
	return messageHeaderLen + 32
}

// contentLen returns the length of the content of an encrypted record without padding.
// For suites that always pad it is the record's length.
func (r *Recorder) contentLen(length int) int {
	if r.t.ServerHello == nil {
		return length
	}
	return max(length-overhead(r.t.ServerHello.Version, r.t.ServerHello.Suite), 0)
}

// overhead returns what encryption adds to a record's content: in TLS 1.3 the content
// type and a tag (RFC 8446, Section 5.2), in TLS 1.2 with AEAD suites an explicit nonce
// and a tag (RFC 5288, RFC 6655, RFC 7905).
func overhead(version Version, suite Suite) int {
	switch {
	case version.isTLS13() && suite == 0x1305: // CCM_8
		return 1 + 8
	case version.isTLS13():
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
