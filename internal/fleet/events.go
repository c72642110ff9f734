package fleet

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/ledger"
)

// Events are where a host stores what it saw itself, and what it takes from others: see
// [ledger.Ledger].
type Events interface {
	// Own returns what this host stored itself after a position, the oldest first. It may leave out
	// what was published.
	Own(ctx context.Context, after int64, most int) ([]ledger.Record, error)
	// Former returns the name that this host published under before, empty if it had no other.
	Former(ctx context.Context) (string, error)
	// Published says up to which position that is.
	Published(ctx context.Context, last int64) error

	// Follow says that this host has published its events up to a position. Those that it stores
	// from now on come after it.
	Follow(ctx context.Context, last int64) error

	// Take stores what another host stored, or this one before it lost its ledger, and returns when it
	// is safe. It returns [ledger.ErrReplaced] if it no longer has what was taken up to a position.
	Take(ctx context.Context, host string, after int64, records []ledger.Record) error
	// EndLost says that Take has got all that there was of a lost ledger.
	EndLost(ctx context.Context) error
	// Taken returns the position up to which each host was taken.
	Taken(ctx context.Context) (map[string]int64, error)

	// Mark returns the last value of PutMark, or an older one.
	Mark(ctx context.Context) ([]byte, error)
	PutMark(mark []byte)
}

const (
	// Bounds of the stream. A host that was away for longer does not get what is older.
	maxEventsAge  = 7 * 24 * time.Hour
	maxEventsSize = 1 << 30

	// maxMessage is the size of the largest message, NATS's default for max_payload.
	maxMessage = 1 << 20

	// maxBatch bounds a batch that was decompressed.
	maxBatch = 4 << 20

	// maxPosition is later than any: they are microseconds since 1970, or go on from there. The host
	// whose name is in a batch goes on after its last one.
	maxPosition = 1e6 * 253402300800 // the year 10000
)

// openEvents opens the stream in which hosts publish, and makes it if there is none.
func (f *Fleet) openEvents(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	config := jetstream.StreamConfig{
		Name: f.eventStream(), Description: "what hosts saw, encrypted", Subjects: []string{f.eventStream() + ".*"},
		MaxAge: maxEventsAge, MaxBytes: maxEventsSize, MaxMsgSize: maxMessage,
	}
	stream, err := ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, config.Name) })
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return stream, err
	}
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	err = replicated(func(replicas int) error {
		config.Replicas = replicas
		stream, err = js.CreateStream(ctx, config)
		return err
	})
	if err != nil { // another host may have been first, and have taken the room
		if theirs, again := js.Stream(ctx, config.Name); again == nil {
			return theirs, nil
		}
	}
	return stream, err
}

func (f *Fleet) eventStream() string { return f.Prefix + "-events" }

// eventSubject is the subject of a host. It hides its name.
func (f *Fleet) eventSubject(host string) string {
	return f.eventStream() + "." + f.sealer.name("host "+host)
}

// A batch is what one message of the stream has: all that a host stored between two positions.
type batch struct {
	Host    string
	After   int64 // position before the first record
	Records []ledger.Record
}

// last returns the position of the last record.
func (b *batch) last() int64 {
	if len(b.Records) == 0 {
		return b.After
	}
	return b.Records[len(b.Records)-1].ID
}

// sealBatch returns a batch as a message of its host's subject.
func (f *Fleet) sealBatch(b *batch) ([]byte, error) {
	packed, err := encodeBatch(b)
	if err != nil {
		return nil, err
	}
	return f.sealer.seal(f.eventSubject(b.Host), packed), nil
}

// openBatch opens a message of a subject.
func (f *Fleet) openBatch(subject string, sealed []byte) (*batch, error) {
	packed, err := f.sealer.open(subject, sealed)
	if err != nil {
		return nil, err
	}
	b, err := decodeBatch(packed)
	if err == nil && f.eventSubject(b.Host) != subject {
		err = errors.New("has another host's name")
	}
	return b, err
}

func encodeBatch(b *batch) ([]byte, error) {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err == nil {
		err = gob.NewEncoder(z).Encode(b)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encoding events: %w", err)
	}
	return packed.Bytes(), nil
}

func decodeBatch(packed []byte) (*batch, error) {
	// A record that says nothing is a byte here and a hundred in memory, so they are counted first.
	var count struct{ Records []struct{ ID int64 } }
	b := new(batch)
	err := decodeGob(packed, &count)
	if err == nil && len(count.Records) > maxRecords {
		err = fmt.Errorf("%d events in a message, %d at most", len(count.Records), maxRecords)
	}
	if err == nil {
		err = decodeGob(packed, b)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding events: %w", err)
	}
	if b.After > maxPosition || b.last() > maxPosition {
		return nil, errors.New("decoding events: they have numbers that no host has")
	}
	position := b.After
	for _, r := range b.Records {
		if r.ID <= position {
			return nil, errors.New("decoding events: they are not in order")
		}
		position = r.ID
	}
	return b, nil
}

func decodeGob(packed []byte, to any) error {
	return gob.NewDecoder(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxBatch)).Decode(to)
}
