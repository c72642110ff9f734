package handshake

import "slices"

// afterFinished names what the server sent after its Finished: tickets and data.
func (n *namer) afterFinished(list []int) {
	for k, i := range list {
		switch kind := n.ticketOrData(list, k); kind {
		case NewSessionTicket:
			n.as(i, kind)
			n.tickets++
		case ApplicationData:
			n.applicationData(i)
		}
	}
}

// ticketOrData says what the k-th record after the server's Finished is, Unknown
// where that cannot be told. A server may send data before the client's Finished
// (RFC 8446, Section 4.4.4); none of a mail server is known to, so that is a ticket.
func (n *namer) ticketOrData(list []int, k int) Type {
	i := list[k]
	switch {
	case n.r.toldTickets:
		return n.bySize(i)
	case i < n.finished:
		return NewSessionTicket
	case n.t.View == AtServer && (n.tickets > 0 || !n.wantsTicket()):
		return ApplicationData // crypto/tls sends one, to a client that can use it
	case n.t.View == AtServer && n.sharesWrite(list, k):
		return NewSessionTicket // crypto/tls writes each record of data by itself: the gate joined them
	case n.isTwin(list, k):
		return NewSessionTicket
	case i > n.data && k > 0:
		return ApplicationData
	case i > n.data || n.r.serverFirst:
		return Unknown // a ticket, or the answer
	}
	return NewSessionTicket
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
func (n *namer) bySize(i int) Type {
	if n.tickets < len(n.r.tickets) && n.r.tickets[n.tickets] == n.size(i) {
		return NewSessionTicket
	}
	return ApplicationData
}

// sharesWrite reports whether the k-th record and the next left in one write.
func (n *namer) sharesWrite(list []int, k int) bool {
	return k+1 < len(list) && n.t.Messages[list[k]].Write == n.t.Messages[list[k+1]].Write
}

// wantsTicket reports whether the client can use a ticket, so that crypto/tls sends
// one (RFC 8446, Section 4.2.9).
func (n *namer) wantsTicket() bool {
	return n.t.Hello == nil || slices.Contains(n.t.Hello.PSKModes, pskWithDHE)
}

// pskWithDHE is psk_dhe_ke (RFC 8446, Section 4.2.9).
const pskWithDHE = 1
