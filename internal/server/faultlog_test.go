package server

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/config"
	"postern/internal/nexthop"
	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testlog"
)

// Senders go on to deliver while the folder is gone or the disk full. The log must not fill the
// disk too.
func TestABrokenFolderIsLoggedBoundedly(t *testing.T) {
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.test"}})
	c, err := config.Load("", config.Flags{Data: t.TempDir(), Cert: []string{pair.CertFile}, Key: []string{pair.KeyFile}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(testlog.Log)
	server, err := New(c, log.Logger(), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := os.Rename(c.MaildirFolder(), c.MaildirFolder()+".old"); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		s := server.hop.Open(nexthop.Sender{SessionID: "7Q2F"})
		s.Mail(smtp.Mail{})
		if reply := s.Send(strings.NewReader("x\r\n")); reply.Code != 451 {
			t.Fatalf("got %v", reply)
		}
	}
	if got := strings.Count(log.String(), "cannot store message"); got != 20 {
		t.Errorf("500 messages that could not be stored have %d lines, want 20", got)
	}
}

func TestFaultLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := newFaultLog(slog.New(slog.NewTextHandler(&out, nil)), 2)
		said := func() string {
			defer out.Reset()
			var b strings.Builder
			for line := range strings.Lines(out.String()) {
				_, line, _ = strings.Cut(line, "level=")
				b.WriteString(line)
			}
			return b.String()
		}
		for range 5 {
			log.With("session", "a").Warn("broken")
			log.Info("well")
		}
		log.Error("full")
		const first = "WARN msg=broken session=a\nINFO msg=well\nWARN msg=broken session=a\nINFO msg=well\nINFO msg=well\nINFO msg=well\nINFO msg=well\nERROR msg=full\n"
		if got := said(); got != first {
			t.Errorf("got\n%swant\n%s", got, first)
		}
		time.Sleep(time.Minute)
		log.Warn("broken")
		log.Warn("broken")
		if got, want := said(), "WARN msg=broken failures=4\nWARN msg=broken\n"; got != want {
			t.Errorf("a minute later got\n%swant\n%s", got, want)
		}
	})
}
