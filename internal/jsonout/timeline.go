package jsonout

import (
	"time"

	"postern/internal/ledger"
)

// A Timeline is what happened in a span, as in docs/json.md.
type Timeline struct {
	From    time.Time         `json:"from"`
	To      time.Time         `json:"to"`
	Seconds int64             `json:"seconds"`
	Periods []TimelinePeriod  `json:"periods"`
	Reports []TimelineReports `json:"reports"`
	Events  []TimelineEvent   `json:"events"`
}

type TimelinePeriod struct {
	Start     time.Time        `json:"start"`
	Full      int64            `json:"full"`
	Resumed   int64            `json:"resumed"`
	Plaintext int64            `json:"plaintext"`
	Failed    map[string]int64 `json:"failed"`
	Deferred  int64            `json:"deferred"`
	Refused   int64            `json:"refused"`
}

type TimelineReports struct {
	Day        string `json:"day"`
	Verified   bool   `json:"verified"`
	Reports    int64  `json:"reports"`
	Failing    int64  `json:"failing"`
	Successful int64  `json:"successful"`
	Failed     int64  `json:"failed"`
}

type TimelineEvent struct {
	Time    time.Time `json:"time"`
	Host    string    `json:"host,omitempty"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text,omitempty"`
}

// NewTimeline returns the object of what happened in a span, by periods of a length.
func NewTimeline(in ledger.Span, length time.Duration, periods []ledger.Period, days []ledger.ReportDay, events []ledger.Event) Timeline {
	return Timeline{
		From: in.From.UTC(), To: in.To.UTC(), Seconds: int64(length / time.Second),
		Periods: each(periods, func(p ledger.Period) TimelinePeriod {
			failed := p.Failed
			if failed == nil {
				failed = map[string]int64{}
			}
			return TimelinePeriod{p.Start, p.Full, p.Resumed, p.Plaintext, failed, p.Deferred, p.Refused}
		}),
		Reports: each(days, func(d ledger.ReportDay) TimelineReports {
			return TimelineReports{d.Day.Format(time.DateOnly), d.Verified, d.Reports, d.Failing, d.Successful, d.Failed}
		}),
		Events: each(events, func(e ledger.Event) TimelineEvent {
			return TimelineEvent{e.At, e.Host, string(e.Kind), e.Subject, e.Text}
		}),
	}
}
