package handshake

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
		case m.Type != Unknown || !m.Encrypted || m.Missing > 0:
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

func (n *namer) as(i int, kind Type) {
	n.t.Messages[i].Type, n.t.Messages[i].Inferred = kind, true
}

func (n *namer) size(i int) int { return n.t.Messages[i].Size }

// client names what the client sent: [Certificate [CertificateVerify]] Finished, and
// data. Data before the ServerHello is early data (RFC 8446, Section 4.2.10).
func (n *namer) client(list []int) {
	list = n.lastAlert(&n.r.client, list)
	early := n.before(list, n.serverHello())
	for k, i := range list[:early] {
		n.as(i, ApplicationData)
		n.drop[i] = k > 0
	}
	list = list[early:]
	at := n.find(list, 0)
	if at < 0 {
		return
	}
	n.finished = list[at]
	n.as(list[at], Finished)
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
		n.as(list[0], Certificate)
	case len(list) == 2:
		n.as(list[0], Certificate)
		n.as(list[1], CertificateVerify)
	}
}

// flights are what the server sends before its Finished, by the number of records:
// resumed, full, and with a client's certificate asked for.
var flights = map[int][]Type{
	1: {EncryptedExtensions},
	3: {EncryptedExtensions, Certificate, CertificateVerify},
	4: {EncryptedExtensions, CertificateRequest, Certificate, CertificateVerify},
}

// server names what the server sent: its flight, and what follows it. A flight of
// any other form is left alone: some servers put several messages in a record.
func (n *namer) server(list []int) {
	list = n.lastAlert(&n.r.server, list)
	flight := list[:n.before(list, n.finished)]
	least := 3
	if n.t.Choice.Resumed {
		least = 1
	}
	rest := list[len(flight):]
	if at := n.find(flight, least); at >= 0 {
		messages := n.join(flight[:at])
		for k, kind := range flights[len(messages)] {
			n.as(messages[k], kind)
		}
		if flights[len(messages)] != nil {
			n.as(flight[at], Finished)
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
