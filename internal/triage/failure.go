package triage

import (
	"encoding/json"
	"log/slog"

	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
	"postern/interop"
)

// A failure is a handshake that failed, and what is made of it.
type failure struct {
	visit     smtpd.Visit
	diagnoses []interop.Diagnosis // the surest first
	next      string
}

// caseID is that of the surest diagnosis, or what stands for none.
func (f *failure) caseID() string {
	if len(f.diagnoses) == 0 {
		return ledger.Unknown
	}
	return f.diagnoses[0].Case.ID
}

// attrs complete the session's line in the log, so that it needs no other.
func (f *failure) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String(logkey.Case, f.caseID()),
		slog.String(logkey.Stopped, f.visit.Handshake.Ending()),
		slog.String(logkey.JA4, f.visit.JA4),
		slog.String(logkey.Rung, f.visit.Rung.String()),
		slog.String(logkey.Next, f.next),
	}
}

func (f *failure) row() ledger.Handshake {
	h := row(f.visit, ledger.Failed)
	h.Stopped, h.Next = f.visit.Handshake.Ending(), f.next
	for _, d := range f.diagnoses {
		h.Diagnoses = append(h.Diagnoses, ledger.Diagnosis{Case: d.Case.ID, Confidence: float64(d.Confidence)})
	}
	h.Transcript, _ = json.Marshal(f.visit.Handshake) // it has nothing that JSON cannot say
	return h
}
