package handshake

// Keys finds the keys of connections: those of a key log (RFC 9850), or a prober's own.
type Keys interface {
	// Opener returns what opens the encrypted records of a session, or nil if there
	// are no keys for it. A recorder asks once, when the ServerHello has passed.
	Opener(Session) Opener
}

// A Session identifies the keys of a connection.
type Session struct {
	// ClientRandom is the random of the first ClientHello, by which key logs name a
	// session. A second ClientHello after a HelloRetryRequest has the same.
	ClientRandom, ServerRandom [32]byte

	// Version and Suite are those of the ServerHello.
	Version Version
	Suite   Suite
}

// An Opener opens the encrypted records of one connection.
//
// Open gets each encrypted record that a side sent, in order and whole, with its header
// of 5 bytes, and must neither change nor keep it. Epoch numbers the keys. In TLS 1.3 it
// is 0 for the handshake traffic keys, 1 for the first application traffic keys, and one
// more after each KeyUpdate of that side. The recorder sees Finished and KeyUpdate pass
// and counts them, so an Opener need not read what it opens. Before TLS 1.3 the epoch is
// always 0. It never decreases.
//
// Open returns the record's content without content type and padding, and its content
// type (RFC 8446, Section 5.1: 21 alert, 22 handshake, 23 application data). The content
// may be valid only until the next call. Ok is false if the record cannot be opened, for
// want of the key or because another one was used, as with early data (RFC 8446,
// Section 4.2.10). Then the Opener's state must be as before the call, so that its record
// number counts only what was opened, from 0 in each epoch of a side. The recorder goes
// on with the next record.
//
// An Opener is used by one recorder, never concurrently.
type Opener interface {
	Open(from Side, epoch int, record []byte) (content []byte, contentType byte, ok bool)
}

// UseKeys lets the recorder open encrypted records. Call it before the first Feed. The
// keys must be available when a record passes; records that cannot be opened are inferred
// from order and size, as without keys.
func (r *Recorder) UseKeys(keys Keys) { r.keys = keys }

// maxEventBytes bounds what a Conn with keys holds until it stops: the longest flights of
// both sides, and some data.
const maxEventBytes = 256 << 10

// An eventLog keeps the events of a recorder, to replay them to another. A TLS library may
// derive its keys after the bytes under them have passed; at the end all keys are there.
type eventLog struct {
	events []func(*Recorder)
	size   int
}

func (l *eventLog) add(size int, event func(*Recorder)) {
	if l.size += size; l.size <= maxEventBytes {
		l.events = append(l.events, event)
	}
}

func (l *eventLog) replay(r *Recorder) {
	for _, event := range l.events {
		event(r)
	}
}
