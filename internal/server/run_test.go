package server

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/smtpd"
	"postern/internal/testlog"
	"postern/internal/web"
)

// A reload reads files, perhaps from a disk that does not answer. The server can be stopped all the
// same, and a signal to reload that arrives meanwhile is not lost.
func TestReloadThatTakesForEverDoesNotHinderStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testlog.Log).Logger()
		s := &Server{config: &config.Config{}, log: log, smtp: smtpd.New(smtpd.Settings{}, nil, nil, log), web: web.New(web.Settings{}, log)}
		c, err := config.Load("", config.Flags{Data: t.TempDir()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := s.findPairs(c)
		if err == nil {
			s.store, err = certs.Open(pairs, new(certs.Files), log)
		}
		if err != nil {
			t.Fatal(err)
		}
		stop, hangup, disk := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan struct{})
		loads := 0
		load := func() (*config.Config, error) {
			loads++
			<-disk
			return nil, config.Problems{{What: "x"}}
		}
		ended := make(chan error)
		go func() { ended <- s.Run(load, stop, hangup) }()
		hangup <- syscall.SIGHUP
		synctest.Wait()
		hangup <- syscall.SIGHUP
		synctest.Wait()
		if loads != 1 {
			t.Errorf("%d loads at once", loads)
		}
		disk <- struct{}{}
		synctest.Wait()
		if loads != 2 {
			t.Errorf("%d loads after two signals", loads)
		}
		stop <- syscall.SIGTERM
		if err := <-ended; err != nil {
			t.Error(err)
		}
		close(disk)
	})
}
