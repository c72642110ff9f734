package handshake

// conclude says how it ended and what it came to, from the named messages.
func (r *Recorder) conclude(t *Transcript) {
	r.tellAlert(t)
	t.Completed = r.completed || t.View == OnWire && concluded(t)
	if spoke(t) {
		t.Use = max(t.Use, Spoke)
	}
	if t.Completed {
		closedInOrder(t)
	}
	for i, m := range t.Messages {
		if open := t.End.How == Open; m.Type == Alert && isEnd(m, t.Completed) && (open || i < t.End.After) {
			t.End = End{How: Alerted, By: m.From, After: i + 1, Err: t.End.Err}
			return
		}
	}
}

// closedInOrder says who closed a connection that was in use: who sent the first
// alert, which is taken for a close_notify, or else who closed it below TLS.
func closedInOrder(t *Transcript) {
	if t.End.How == Dropped {
		t.End.How = Closed
	}
	for _, m := range t.Messages {
		if m.Type == Alert && t.End.How == Closed {
			t.End.By = m.From
			return
		}
	}
}

// isEnd reports whether an alert ends the connection otherwise than by closing it
// in good order. One that could not be read does before the handshake is complete.
func isEnd(m Message, completed bool) bool {
	if m.Alert == nil {
		return !completed
	}
	return m.Alert.Description != closeNotify && m.Alert.Description != userCanceled && m.Alert.Fatal
}

// concluded reports whether the client's and the server's Finished passed, and after
// the last of them data, or a close that no alert announced. In TLS 1.3 the client's
// is the last, and says that it took the server's.
func concluded(t *Transcript) bool {
	var seen [Server + 1]bool
	seen[Server] = t.Choice != nil && t.Choice.Version == VersionTLS13
	for i, m := range t.Messages {
		if m.Type == Finished && m.Missing == 0 {
			seen[m.From] = true
		}
		if seen[Client] && seen[Server] {
			after := t.Messages[i+1:]
			if len(after) > 0 {
				return after[0].Type != Alert
			}
			return t.End.How == Closed
		}
	}
	return false
}

// spoke reports whether the client sent data after its Finished.
func spoke(t *Transcript) bool {
	finished := false
	for _, m := range t.Messages {
		if m.From == Client && m.Type == Finished {
			finished = true
		}
		if m.From == Client && m.Type == ApplicationData && (finished || t.Completed) {
			return true
		}
	}
	return false
}
