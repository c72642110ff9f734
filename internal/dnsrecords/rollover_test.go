package dnsrecords

import (
	"crypto"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A whole key rollover, and every wrong order: which keys are in use and which is
// next, which records are published, and since when that of the next was seen.
func TestNextStepOfEachRolloverState(t *testing.T) {
	const ttl = time.Hour
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	old, next := newKey(t), newKey(t)
	for name, tt := range map[string]struct {
		inUse, next crypto.PublicKey
		published   []crypto.PublicKey
		since       time.Duration // 0: not seen before
		want        Step
		until       time.Duration // from now
	}{
		"no change under way":              {old, nil, keys(old), 0, None, 0},
		"signed zone without a record":     {old, nil, nil, 0, Publish, 0},
		"record of another key only":       {old, nil, keys(next), 0, Publish, 0},
		"next key prepared":                {old, next, keys(old), 0, Publish, 0},
		"next in place of the one in use":  {old, next, keys(next), 2 * ttl, Publish, 0},
		"next published, just seen":        {old, next, keys(old, next), 0, Wait, ttl},
		"next published, still waiting":    {old, next, keys(old, next), ttl / 4, Wait, ttl - ttl/4},
		"next published for its TTL":       {old, next, keys(old, next), ttl, Switch, 0},
		"next seen by a clock set back":    {old, next, keys(old, next), -1000 * ttl, Wait, ttl},
		"next withdrawn again":             {old, next, keys(old), 2 * ttl, Publish, 0},
		"switched, old record still there": {next, next, keys(old, next), 2 * ttl, Remove, 0},
		"switched, old record removed":     {next, next, keys(next), 2 * ttl, None, 0},
		"switched, wrong record removed":   {next, next, keys(old), 2 * ttl, Publish, 0},
		"switched too early":               {next, nil, keys(old), 0, Publish, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Domain: "example.org", Host: "mx.example.org", Report: "mailto:a@example.org", Keys: keys(tt.inUse), Next: tt.next}
			seen := time.Time{}
			if tt.since != 0 {
				seen = now.Add(-tt.since)
			}
			comparison, err := c.Compare(t.Context(), publish(tlsaRecords(t, ttl, tt.published...)), seen, now)
			if err != nil {
				t.Fatal(err)
			}
			got := comparison.Rollover
			if got.Step != tt.want || got.Step == Wait && !got.Until.Equal(now.Add(tt.until)) {
				t.Errorf("got %+v, want %s, %v from now", got, tt.want, tt.until)
			}
		})
	}
}

// A time to come would put the rollover off until then.
func TestClockSetBackDoesNotStopARollover(t *testing.T) {
	n := NextKey{File: filepath.Join(t.TempDir(), "next.pem")}
	published := Rollover{Step: Wait, NextPublished: true}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, at := range []struct{ now, seen time.Time }{
		{now.AddDate(10, 0, 0), now.AddDate(10, 0, 0)}, // the clock is wrong
		{now, now},                // and was corrected
		{now.Add(time.Hour), now}, // an hour passes
	} {
		if _, err := n.Note(published, at.now); err != nil {
			t.Fatal(err)
		}
		if got := n.FirstSeen(); !got.Equal(at.seen) {
			t.Errorf("at %v, first seen %v, want %v", at.now, got, at.seen)
		}
	}
}

func keys(all ...crypto.PublicKey) []crypto.PublicKey { return all }

func tlsaRecords(t *testing.T, ttl time.Duration, keys ...crypto.PublicKey) (records []dns.RR) {
	t.Helper()
	for _, key := range keys {
		data, err := tlsaData(key)
		if err != nil {
			t.Fatal(err)
		}
		rr, err := dns.NewRR(fmt.Sprintf("_25._tcp.mx.example.org. %d TLSA %s", int(ttl.Seconds()), data))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	return records
}

// An answer from a cache has only what is left of the TTL.
func TestWaitIsForTheWholeTTL(t *testing.T) {
	cached := tlsaRecords(t, 5*time.Second, newKey(t))
	signature := &dns.RRSIG{Hdr: dns.RR_Header{Rrtype: dns.TypeRRSIG, Ttl: 5}, OrigTtl: 3600}
	if got := longestTTL(append(cached, signature)); got != time.Hour {
		t.Errorf("got %v, want 1h", got)
	}
}

// Without DNSSEC no sender uses TLSA records (RFC 7672, Section 2.2).
func TestUnsignedZoneNeedsNoRecord(t *testing.T) {
	c := Config{Domain: "example.org", Host: "mx.example.org", Report: "mailto:a@example.org", Keys: keys(newKey(t))}
	comparison, err := c.Compare(t.Context(), unvalidated(publish(nil)), time.Time{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if last := comparison.Results[len(comparison.Results)-1]; last.Type != "TLSA" || last.State != Optional || comparison.Rollover.Step != None {
		t.Errorf("got %+v and %+v", last, comparison.Rollover)
	}
}
