package main

import (
	"time"

	"postern/internal/dnsrecords"
)

// zoneJSON is what postern dns --json prints.
type zoneJSON struct {
	Domain  string           `json:"domain"`
	Host    string           `json:"host"`
	Records []recordJSON     `json:"records"`
	State   dnsrecords.State `json:"state,omitempty"`
	Step    dnsrecords.Step  `json:"step,omitempty"`
	Until   *time.Time       `json:"until,omitempty"`
}

type recordJSON struct {
	Name  string           `json:"name"`
	Type  string           `json:"type"`
	Data  string           `json:"data"`
	Note  string           `json:"note,omitempty"`
	State dnsrecords.State `json:"state,omitempty"`
	Why   string           `json:"why,omitempty"`
}

// zoneRow is what is wanted.
func zoneRow(w dnsrecords.Wants, records []dnsrecords.Record) zoneJSON {
	row := zoneJSON{Domain: w.Domain, Host: w.Host}
	for _, r := range records {
		row.Records = append(row.Records, recordRow(r))
	}
	return row
}

func recordRow(r dnsrecords.Record) recordJSON {
	return recordJSON{Name: r.Name, Type: r.Type, Data: r.Data, Note: r.Note}
}

// checkRow is what is wanted, held against what is published.
func checkRow(w dnsrecords.Wants, c dnsrecords.Check) zoneJSON {
	row := zoneJSON{Domain: w.Domain, Host: w.Host, State: c.State(), Step: c.Rollover.Step}
	if c.Rollover.Step == dnsrecords.Wait {
		until := c.Rollover.Until.UTC()
		row.Until = &until
	}
	for _, r := range c.Results {
		record := recordRow(r.Record)
		record.State, record.Why = r.State, r.Why
		row.Records = append(row.Records, record)
	}
	return row
}
