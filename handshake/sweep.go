package handshake

import "slices"

// lastAlert names a side's last record if it can hold an alert and little else.
func (n *namer) lastAlert(s *stream, list []int) []int {
	last := len(list) - 1
	if last < 0 || n.size(list[last]) != alertLen || s.passed && s.last == nil {
		return list
	}
	n.as(list[last], Alert)
	return list[:last]
}

// serverHello is the place of the ServerHello.
func (n *namer) serverHello() int {
	return slices.IndexFunc(n.t.Messages, func(m Message) bool { return m.Type == ServerHello })
}

// applicationData names the first of a side's data and drops the others.
func (n *namer) applicationData(i int) {
	n.as(i, ApplicationData)
	from := n.t.Messages[i].From
	n.drop[i], n.spoke[from] = n.spoke[from], true
}

// join makes one message of a record that is full and the next: a long certificate
// chain takes several records.
func (n *namer) join(list []int) []int {
	joined := list[:0]
	full := 0 // bytes of the full records before this one
	for _, i := range list {
		if n.size(i) == maxPlaintext {
			full += maxPlaintext
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
