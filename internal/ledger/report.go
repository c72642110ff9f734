package ledger

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Report is a TLS report (RFC 8460) as it is kept: its JSON, what queries ask for, and
// how it came.
type Report struct {
	// ID numbers reports in the order in which they came. No number is used twice.
	// It is not given to AddReport.
	ID int64

	At      time.Time // when it came, kept to the millisecond
	Via     Via
	Session string     // of mail: our session's id
	Address netip.Addr // of whom it came from; zero where that is not known

	// Trusted says that Submitter's signature holds. All else a report may say of itself
	// without being so.
	Trusted bool
	Signer  string // the domain whose DKIM signature holds; empty: none
	Verdict string // why it is trusted or not, in words

	Submitter    string // the domain that it says to come from
	Organization string
	ReportID     string    // its sender's
	Start, End   time.Time // in UTC; zero where it does not say
	Domains      []string  // that its policies are about, in lower case

	Successful, Failed int64    // sessions, of all its policies
	Warnings           []string // what was odd about it

	// Content is its JSON, for package tlsrpt to read. Lists of reports leave it out.
	Content []byte

	// Versions is how many reports of the same submitter with the same ReportID and Start are
	// kept, this one included. More than one are corrections; beside one that is not trusted they may
	// be forgeries. It is not given to AddReport.
	Versions int64
}

// Via is the way by which a report came.
type Via string

// The ways.
const (
	ByMail  Via = "mail"
	ByHTTPS Via = "https"
	ByHand  Via = "hand"
)

// A Filing is what became of a report that was added.
type Filing struct {
	ID        int64 // the report's
	New       bool  // it was not there before
	Confirmed bool  // it was there, and is trusted only now
}

// ErrReportTooLarge is in the chain of errors about reports that have more content than
// is kept.
var ErrReportTooLarge = errors.New("too large to be kept")

// ErrNoReports is what asking for reports gives in a ledger that an older Postern made and
// that no server has opened since.
var ErrNoReports = errors.New("the ledger is of an older postern that kept no reports")

// Bounds of what is kept of a report, in bytes if nothing else is said.
const (
	maxContent  = 8 << 20 // what package tlsrpt reads
	maxPacked   = 1 << 20 // a report of 10,000 failures comes to some 300 KiB
	maxDomains  = 100
	maxWarnings = 200
)

// hash tells reports apart: those with one content are one report.
func (r *Report) hash() []byte {
	sum := sha256.Sum256(r.Content)
	return sum[:]
}

// pack compresses the content.
func (r *Report) pack() ([]byte, error) {
	if len(r.Content) > maxContent {
		return nil, fmt.Errorf("%d bytes: %w", len(r.Content), ErrReportTooLarge)
	}
	packed, err := compress(gzip.NewWriter(nil), r.Content)
	if err == nil && len(packed) > maxPacked {
		err = fmt.Errorf("%d bytes compressed: %w", len(packed), ErrReportTooLarge)
	}
	return packed, err
}

// list writes texts as JSON, bounded in number and length. It is never null.
func list(texts []string, most, limit int) string {
	kept := make([]string, 0, min(len(texts), most))
	for _, text := range texts[:cap(kept)] {
		kept = append(kept, bounded(text, limit))
	}
	written, _ := json.Marshal(kept) // strings have JSON
	return string(written)
}

// texts reads a list.
type texts struct{ list *[]string }

func (t texts) Scan(value any) error {
	written, _ := value.(string)
	return json.Unmarshal([]byte(written), t.list)
}
