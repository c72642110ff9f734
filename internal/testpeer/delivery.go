package testpeer

// Delivery is what became of one message that a client sent.
type Delivery struct {
	Delivered bool   // the server answered 250 to the whole message
	Resumed   bool   // over a resumed TLS session
	Reply     string // the last reply that the client got after STARTTLS, its last line
	Output    string // all that the client printed, for the text of a failure
}
