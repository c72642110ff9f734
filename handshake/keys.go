package handshake

// Keys finds the keys of connections: those of a key log (the format of
// https://datatracker.ietf.org/doc/draft-ietf-tls-keylogfile/), or a prober's own.
type Keys interface {
	// Opener returns what opens the encrypted records of a session, or nil if there
	// are no keys to it. A recorder asks once, when the ServerHello has passed.
	Opener(Session) Opener
}

// A Session names the keys of a connection.
type Session struct {
	// ClientRandom is that of the first ClientHello, by which key logs name a
	// session; TLS has the same one in the second after a HelloRetryRequest.
	ClientRandom, ServerRandom [32]byte
	Version                    Version // as in the ServerHello
	Suite                      Suite
}

// An Opener opens the encrypted records of one connection.
//
// Open gets each encrypted record that a side sent, in its order, whole, with its
// header of 5 bytes, and must neither change nor keep it. Epoch numbers the keys.
// In TLS 1.3 it is 0 for the handshake traffic keys, 1 for the first application
// traffic keys, and one more after each KeyUpdate of that side; the recorder, which
// sees Finished and KeyUpdate pass, counts it, so an Opener need not read what it
// opens. Before TLS 1.3 it is always 0. It never goes back.
//
// Open returns the record's content without content type and padding, and its real
// type (RFC 8446, Section 5.1: 21 alert, 22 handshake, 23 application data). The
// content may be valid until the next call only. Ok is false when the record cannot
// be opened: no such key, or another one, as with early data (RFC 8446, Section
// 4.2.10). Then the Opener's state must be as before the call, so that its record
// number counts only what was opened, from 0 in each side's epoch. The recorder
// goes on with the next record.
//
// An Opener is used by one recorder, never concurrently.
type Opener interface {
	Open(from Side, epoch int, record []byte) (content []byte, contentType byte, ok bool)
}

// UseKeys lets the recorder open encrypted records. It goes before the first Feed.
// The keys must be there when a record passes; records that do not open are told by
// order and size, like those of a recorder without keys.
func (r *Recorder) UseKeys(keys Keys) { r.keys = keys }

// maxTape bounds what a conn with keys holds until it stops, in bytes: the longest
// flights of either side, and some data.
const maxTape = 256 << 10

// A tape keeps what a recorder is told, to tell another one. A TLS library may derive
// its keys after the bytes under them have passed: when all is over, all keys are
// there.
type tape struct {
	events []func(*Recorder)
	size   int
}

func (t *tape) add(size int, event func(*Recorder)) {
	if t.size += size; t.size <= maxTape {
		t.events = append(t.events, event)
	}
}

func (t *tape) play(r *Recorder) {
	for _, event := range t.events {
		event(r)
	}
}
