package keylog

import "postern/handshake"

// Opener returns what opens the records of a session of TLS 1.3, as far as its
// secrets are in l when a record passes, or nil for another version and for suites
// that are not read. Before TLS 1.3 no key is needed to name the messages: those of
// the handshake are in the clear, and Finished is the first that is not.
//
// It makes a Log [handshake.Keys].
func (l *Log) Opener(session handshake.Session) handshake.Opener {
	suite, ok := suites[session.Suite]
	if !ok || session.Version != handshake.VersionTLS13 {
		return nil
	}
	secret := func(under label) []byte { return l.secret(session.ClientRandom, under) }
	return &opener{
		client: direction{suite: suite, secret: secret, ahead: clientLabels},
		server: direction{suite: suite, secret: secret, ahead: serverLabels},
	}
}

// An opener opens the records of one connection.
type opener struct{ client, server direction }

// Open is [handshake.Opener]. It finds the key by trying, not by the epoch that
// the caller counted: where a capture lacks a Finished, that is behind.
func (o *opener) Open(from handshake.Side, _ int, record []byte) (content []byte, contentType byte, ok bool) {
	if from == handshake.Client {
		return o.client.open(record)
	}
	return o.server.open(record)
}
