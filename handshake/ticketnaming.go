package handshake

// afterFinished names what the server sent after its Finished.
func (n *namer) afterFinished(list []int) {
	ticket := false
	for k, i := range list {
		switch kind := n.ticketOrData(list, k, ticket); kind {
		case NewSessionTicket:
			n.as(i, kind)
			ticket = true
		case ApplicationData:
			n.applicationData(list[k : k+1])
		}
	}
}

// ticketOrData says what the k-th record after the server's Finished is, Unknown
// where that can not be told. Ticket is whether one came before it.
func (n *namer) ticketOrData(list []int, k int, ticket bool) Type {
	i := list[k]
	crypto := n.t.View == AtServer // crypto/tls is known: one ticket, and no data before the handshake is complete
	switch {
	case len(n.r.tickets) > 0:
		return n.bySize(i, ticket)
	case i < n.finished && (crypto || !n.t.Messages[i].Encrypted):
		return NewSessionTicket
	case !n.wantsTicket() || crypto && ticket:
		return ApplicationData
	case i < n.finished:
		return NewSessionTicket
	case crypto && n.sharesWrite(list, k):
		return NewSessionTicket // crypto/tls has a write for each record of data: the gate put it before one
	case i > n.data:
		return ApplicationData
	case n.r.serverFirst:
		return Unknown
	}
	return NewSessionTicket
}

func (n *namer) bySize(i int, ticket bool) Type {
	for k, size := range n.r.tickets {
		if size == n.size(i) && (k > 0 || !ticket) {
			return NewSessionTicket
		}
	}
	return ApplicationData
}

// sharesWrite reports whether the k-th record and the next left in one write.
func (n *namer) sharesWrite(list []int, k int) bool {
	return k+1 < len(list) && n.t.Messages[list[k]].Write == n.t.Messages[list[k+1]].Write
}

// wantsTicket reports whether the client can use a ticket, so that a server may send
// one (RFC 8446, Section 4.2.9).
func (n *namer) wantsTicket() bool {
	return n.t.Hello == nil || len(n.t.Hello.PSKModes) > 0
}
