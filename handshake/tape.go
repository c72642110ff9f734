package handshake

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
