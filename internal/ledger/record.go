package ledger

import (
	"encoding/json"
	"fmt"
)

// A Record is something that a host recorded, as the other hosts of its fleet get it.
type Record struct {
	// ID numbers the records of a host, in the order in which they were stored. Numbers can be left
	// out, and none is used twice.
	ID int64

	Kind string // what it is: this package's own word
	Data []byte // JSON: at most 2 MiB of a report, 512 KiB of others
}

// The kinds of records. Their names are sent to other hosts.
const (
	handshakeRecord  = "handshake"
	revisionRecord   = "revision"
	nameRecord       = "name"
	refusalRecord    = "refusal"
	acceptanceRecord = "acceptance"
	decisionRecord   = "decision"
	eventRecord      = "event"
	alertRecord      = "alert"
	reportRecord     = "report"
)

// parsers return the event of a record, by its kind. Fields that this version does not know are
// ignored.
var parsers = map[string]func([]byte) (event, error){
	handshakeRecord:  parseAs[recordedHandshake],
	revisionRecord:   parseAs[Revision],
	nameRecord:       parseAs[Name],
	refusalRecord:    parseAs[Refusal],
	acceptanceRecord: parseAs[Acceptance],
	decisionRecord:   parseAs[decision],
	eventRecord:      parseAs[Event],
	alertRecord:      parseAs[alert],
	reportRecord:     parseAs[recordedReport],
}

func parseAs[E event](data []byte) (event, error) {
	var e E
	err := json.Unmarshal(data, &e)
	return e, err
}

// parse returns the event of a record.
func (r Record) parse() (event, error) {
	parse := parsers[r.Kind]
	if parse == nil {
		return nil, fmt.Errorf("record %d: this version does not know the kind %q", r.ID, r.Kind)
	}
	e, err := parse(r.Data)
	if err != nil {
		return nil, fmt.Errorf("record %d: %s: %w", r.ID, r.Kind, err)
	}
	return e, nil
}

// maxSharedTranscript bounds the transcripts that other hosts get, in bytes. Usual ones have some
// ten thousand.
const maxSharedTranscript = 64 << 10

// A recordedHandshake is a [Handshake] as other hosts get it: its transcript is JSON already.
type recordedHandshake struct {
	Handshake
	Transcript json.RawMessage `json:"transcript,omitempty"`
}

func recordOf(h Handshake) recordedHandshake {
	r := recordedHandshake{Handshake: h}
	if len(h.Transcript) <= maxSharedTranscript && json.Valid(h.Transcript) {
		r.Transcript = h.Transcript
	}
	return r
}

func (r recordedHandshake) write(s *store) error {
	r.Handshake.Transcript = r.Transcript
	if r.Outcome < Full || r.Outcome > Plaintext {
		return nil // of a newer version
	}
	return r.Handshake.write(s)
}

// A recordedReport is a [Report] as other hosts get it: with its content compressed.
type recordedReport struct {
	Report
	Content []byte `json:"content"` // gzip
}

func (r recordedReport) size() int { return eventSize + len(r.Content) }
