package tlsrptin

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/nexthop"
	"postern/internal/testreport"
)

// Google's reports have a signature that expires a week after it was made. Mailboxes with older
// reports are added all the same: RFC 6376, Section 3.5 compares that with the time of receipt.
func TestExpiredSignatureIsJudgedAsOfTheReceipt(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	signer.Expires = time.Date(2024, 11, 1, 3, 0, 0, 0, time.UTC)
	r := NewFileReader(testreport.Resolver(t, signer.KeyRecord("s=tlsrpt;")))
	mail := signer.Sign(t, october.Mail())
	field := func(date string) string {
		return "Received: from a by mx.ours.example\r\n\twith ESMTPS; " + date + "\r\n"
	}
	inTime, late := field("Fri, 25 Oct 2024 05:00:00 +0200 (CEST)"), field("Mon, 25 Nov 2024 03:00:00 +0000")
	const asOf = ", judged as of 2024-10-25T03:00:00Z, "
	for _, tt := range []struct {
		file, content, want string
	}{
		{"received.eml", inTime + mail, "true: signed by microsoft.test" + asOf + "the topmost Received field"},
		{"below.eml", "Delivered-To: me\r\n" + inTime + late + mail, "true: signed by microsoft.test" + asOf + "the topmost Received field"},
		{"LF.eml", strings.ReplaceAll(inTime+mail, "\r\n", "\n"), "true: signed by microsoft.test" + asOf + "the topmost Received field"},
		{"mbox", "From a@b Fri Oct 25 03:00:00 2024\n" + mail, "true: signed by microsoft.test" + asOf + "the mbox"},
		{"mbox with zone", "From a@b Fri Oct 25 05:00:00 +0200 2024\n" + mail, "true: signed by microsoft.test" + asOf + "the mbox"},
		{"box/cur/1729825200.M1P2.host:2,S", mail, "true: signed by microsoft.test" + asOf + "the name of its file in the Maildir"},
		// A Received field that the sender of the message could have written is below the
		// receiver's own. What the mailbox says does not count against that.
		{"late.eml", late + inTime + mail, "2024-11-01T03:00:00Z, and the message was received at 2024-11-25T03:00:00Z, judged as of 2024-11-25T03:00:00Z, the topmost Received field"},
		{"late mbox", "From a@b Fri Oct 25 03:00:00 2024\n" + late + mail, "received at 2024-11-25T03:00:00Z"},
		{"box/new/1732503600.M1P2.host", mail, "received at 2024-11-25T03:00:00Z"},
		{"unknown.eml", mail, "the present time, since the message has none"},
		{"malformed.eml", field("once upon a time") + mail, "the present time, since the message has none"},
		{"future.eml", field("Fri, 25 Oct 2999 03:00:00 +0000") + mail, "the present time, since the message has none"},
		{"body.eml", mail + "Received: by a; Fri, 25 Oct 2024 03:00:00 +0000\r\n", "the present time, since the message has none"},
		{"mbox without a time", "From a@b\n" + mail, "the present time, since the message has none"},
	} {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, tt.file), []byte(tt.content))
		if strings.HasPrefix(tt.file, "box/") {
			write(t, filepath.Join(dir, "box/cur/empty"), nil)
			write(t, filepath.Join(dir, "box/new/empty"), nil)
			path = filepath.Join(dir, "box")
		}
		var got []string
		err := r.Read(t.Context(), path, func(e Entry) error {
			if e.Err == nil {
				got = append(got, fmt.Sprintf("%v: %s", e.Report.Verified, e.Report.Verdict))
			}
			return nil
		})
		if err != nil || len(got) != 1 || !strings.Contains(got[0], tt.want) || strings.HasPrefix(got[0], "true") != strings.HasPrefix(tt.want, "true") {
			t.Errorf("%s: %q, %v; want %s", tt.file, got, err, tt.want)
		}
	}
}

// RFC 5321, Section 4.4; RFC 5322, Sections 3.6.7 and 4.5.
func TestTopmostReceivedField(t *testing.T) {
	const date, none = "Fri, 25 Oct 2024 05:00:00 +0200", "0001-01-01T00:00:00Z"
	filler := strings.Repeat("X: 0123456789ab\n", 64<<10/16)
	for message, want := range map[string]string{
		"Received: by a; " + date + "\n\n": "2024-10-25T03:00:00Z",
		"Received: by a;" + date:           "2024-10-25T03:00:00Z",
		"\ufeffReceived: by a; " + date:    "2024-10-25T03:00:00Z",
		"RECEIVED \t: by a; " + date:       "2024-10-25T03:00:00Z",
		"Received: by a;\n Fri, 25 Oct\n\t2024 05:00:00\n +0200\nReceived: by b; Thu, 24 Oct 2024 05:00:00 +0200": "2024-10-25T03:00:00Z",
		"Received: by a; x; " + date:                          "2024-10-25T03:00:00Z",
		"Received: by a":                                      none,
		"X: by a; " + date:                                    none,
		"\nReceived: by a; " + date:                           none,
		"\r\nReceived: by a; " + date:                         none,
		filler + "Received: by a; " + date:                    none, // beyond 64 KiB
		filler[:len(filler)-1024] + "Received: by a; " + date: "2024-10-25T03:00:00Z",
	} {
		if got := topmostReceived([]byte(message)).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%.200q: %s, want %s", message, got, want)
		}
	}
}

// RFC 4155, Appendix A has no zone; some programs write one. Names of files in a Maildir begin with
// the seconds since 1970.
func TestReceiptOfAMailbox(t *testing.T) {
	for line, want := range map[string]string{
		"From a@b Fri Oct 25 03:00:00 2024\n":       "2024-10-25T03:00:00Z, the mbox",
		"From a@b Fri Oct  5 03:00:00 2024\n":       "2024-10-05T03:00:00Z, the mbox",
		"From a@b Fri Oct 25 05:00:00 +0200 2024\n": "2024-10-25T03:00:00Z, the mbox",
		"From a@b Fri Oct 25 05:00:00 2024 +0200\n": "2024-10-25T03:00:00Z, the mbox",
		"From a@b Fri Oct 25 03:00:00 UTC 2024\n":   "2024-10-25T03:00:00Z, the mbox",
		"From a@b\n": "0001-01-01T00:00:00Z, ",
	} {
		if got := mboxReceipt([]byte(line)).String(); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	for name, want := range map[string]string{
		"box/cur/1729825200.M1P2.host:2,S": "2024-10-25T03:00:00Z, the name of its file in the Maildir",
		"1.M1P2.host":                      "1970-01-01T00:00:01Z, the name of its file in the Maildir",
		"0.M1P2.host":                      "0001-01-01T00:00:00Z, ",
		"-1.M1P2.host":                     "0001-01-01T00:00:00Z, ",
		"1729825200":                       "0001-01-01T00:00:00Z, ",
		"x.M1P2.host":                      "0001-01-01T00:00:00Z, ",
	} {
		if got := maildirReceipt(name).String(); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// Keys change. A mail whose key is gone may have been signed all the same.
func TestSignatureWithoutAKeyIsNotCalledInvalid(t *testing.T) {
	mail := testreport.NewSigner(t, "microsoft.test").Sign(t, october.Mail())
	path := write(t, filepath.Join(t.TempDir(), "old.eml"), []byte("Received: by a; Fri, 25 Oct 2024 03:00:00 +0000\r\n"+mail))
	var got ledger.Report
	err := NewFileReader(testreport.Resolver(t)).Read(t.Context(), path, func(e Entry) error {
		got = e.Report
		return e.Err
	})
	want := `the DKIM signature of "microsoft.test" cannot be verified: no key is published, the signer may have removed it since, judged as of 2024-10-25T03:00:00Z, the topmost Received field`
	if err != nil || got.Verified || got.Verdict != want {
		t.Errorf("%v, %v: %s", err, got.Verified, got.Verdict)
	}
}

// A key that is looked up again minutes later does not make a signature expire meanwhile.
func TestMailIsJudgedAsOfItsReceiptAlsoLater(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	signer.Expires = time.Now().Add(-time.Minute)
	s := newTestReceiver(t, Settings{Resolver: testreport.Resolver(t, signer.KeyRecord(""))})
	mail := []byte(signer.Sign(t, october.Mail()))
	for at, verified := range map[time.Time]bool{signer.Expires.Add(-time.Minute): true, time.Now(): false} {
		m := s.newMessage(nexthop.Sender{SessionID: "7Q2F", Addr: netip.MustParseAddrPort("192.0.2.7:4711")})
		m.at = at
		m.Write(mail)
		if _, err := s.storeMail(t.Context(), m, true); err != nil {
			t.Fatal(err)
		}
		m.release()
		stored := s.reports()
		if r := stored[len(stored)-1]; r.Verified != verified || strings.Contains(r.Verdict, "judged as of") {
			t.Errorf("received at %v: verified %v, %q", at, r.Verified, r.Verdict)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	f.Add([]byte("Received: a\n\tb; Fri, 25 Oct 2024 05:00:00 +0200\n\n"), "1729825200.M1P2.host", []byte("From a Fri Oct 25 03:00:00 2024"))
	f.Fuzz(func(t *testing.T, message []byte, name string, from []byte) {
		now := time.Now()
		for _, mailbox := range []receipt{maildirReceipt(name), mboxReceipt(from)} {
			if r := receiptOf(message, mailbox, now); r.at.After(now.Add(clockSkew)) || r.source == "" {
				t.Errorf("%v", r)
			}
		}
	})
}
