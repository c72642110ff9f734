package smtp

// A Refusal is an error that a sender is told by a reply.
type Refusal struct {
	Reply Reply
}

// Error is the reply in one line.
func (r *Refusal) Error() string { return "smtp: " + r.Reply.String() }

func refuse(code int, enhanced, text string) error {
	return &Refusal{Reply: NewReply(code, enhanced, text)}
}
