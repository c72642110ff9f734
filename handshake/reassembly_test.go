package handshake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/handshake"
)

const (
	// clientHello is a record with a ClientHello of 100 bytes and 4 of header.
	helloHeader = "\x16\x03\x01\x00\x68"
	helloStart  = "\x01\x00\x00\x64\x03\x03"
	// alertRecord is a record that may follow a lost one.
	alertRecord = "\x15\x03\x03\x00\x02\x02\x28"
)

// A recording with gaps shows what it can: records and messages whose header it has, and
// the number of other bytes.
func TestMissingBytes(t *testing.T) {
	lose := func(n int) string { return fmt.Sprint(n) }
	for name, tt := range map[string]struct {
		feeds []string // digits alone: a gap of that many bytes
		want  string
	}{
		"within a message":              {[]string{helloHeader + helloStart, lose(90), "12345678" + alertRecord}, "ClientHello 104, Alert 2"},
		"at a message's end":            {[]string{helloHeader + helloStart, lose(98), alertRecord}, "ClientHello 104, Alert 2"},
		"a message's header":            {[]string{helloHeader, lose(50), strings.Repeat("x", 54) + alertRecord}, "Unknown 104, Alert 2"},
		"within an encrypted record":    {[]string{"\x17\x03\x03\x00\x64abc", lose(90), "1234567" + alertRecord}, "Unknown 100, Alert 2"},
		"an alert":                      {[]string{"\x15\x03\x03\x00\x02", lose(2), alertRecord}, "Alert 2, Alert 2"},
		"a record":                      {[]string{lose(50), alertRecord}, "Unknown 50, Alert 2"},
		"a record's header":             {[]string{"\x16\x03", lose(50), alertRecord}, "Unknown 50, Alert 2"},
		"over a record's end":           {[]string{helloHeader + helloStart, lose(99), "cde", alertRecord}, "ClientHello 104, Unknown 1, Alert 2"},
		"and again before it is found":  {[]string{lose(50), "abc", lose(60), "\x15\x03\x03\x00\x00", alertRecord}, "Unknown 50, Alert 2"},
		"twice within a record":         {[]string{helloHeader + helloStart, lose(40), "x", lose(57), alertRecord}, "ClientHello 104, Alert 2"},
		"twice where its header is due": {[]string{helloHeader, lose(40), "x", lose(63), alertRecord}, "Unknown 104, Alert 2"},
		"what is no TLS":                {[]string{"hello", lose(40), alertRecord}, "NotTLS 12"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			r := handshake.NewRecorder(handshake.OnWire, start)
			for _, feed := range tt.feeds {
				lost := 0
				if _, err := fmt.Sscanf(feed, "%d", &lost); err == nil && strings.Trim(feed, "0123456789") == "" {
					r.Gap(handshake.Client, lost, start)
				} else {
					r.Feed(handshake.Client, []byte(feed), start)
				}
			}
			transcript := r.Transcript()
			var got []string
			for _, m := range transcript.Messages {
				got = append(got, fmt.Sprintf("%v %d", m.Type, m.Size+m.Missing))
			}
			if strings.Join(got, ", ") != tt.want || transcript.ClientHello != nil {
				t.Errorf("got %q, want %q; hello %v", strings.Join(got, ", "), tt.want, transcript.ClientHello)
			}
		})
	}
}

func FuzzGap(f *testing.F) {
	f.Add([]byte(helloHeader+helloStart+alertRecord), uint8(6), uint16(20))
	f.Add([]byte("\x17\x03\x03\x00\x03abc"+alertRecord), uint8(3), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, every uint8, lost uint16) {
		r := handshake.NewRecorder(handshake.OnWire, time.Time{})
		for len(b) > 0 {
			n := min(len(b), 1+int(every))
			r.Feed(handshake.Server, b[:n], time.Time{})
			r.Gap(handshake.Server, int(lost), time.Time{})
			b = b[n:]
		}
		if got := len(r.Transcript().Messages); got > handshake.MaxMessages+2 {
			t.Errorf("%d messages", got)
		}
	})
}
