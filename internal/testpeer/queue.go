package testpeer

// QueueOptions says what a mail server that sends has in its queue, and how it sends.
type QueueOptions struct {
	Messages  int     // how many copies of Message are queued; 0 means 1
	Message   Message // each copy has a header field X-Number, from 1 on
	Handshake Handshake
	// Config are further lines of the server's configuration: of main.cf for
	// Postfix, of the smtp transport for Exim.
	Config []string
}

func (o QueueOptions) orDefault() QueueOptions {
	o.Messages = max(o.Messages, 1)
	o.Message = o.Message.orDefault()
	return o
}

// QueueRun is what became of a queue. Each message has a connection of its own.
type QueueRun struct {
	Sent     int    // messages delivered
	Bounced  int    // messages refused for good
	Deferred int    // attempts put off by the server's 4xx or by a broken connection
	Resumed  int    // connections over resumed TLS sessions
	Log      string // the sending server's log
}
