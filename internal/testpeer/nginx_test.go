package testpeer_test

import (
	"path/filepath"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

func TestNginxPassesMailOnAndResumes(t *testing.T) {
	sink := testpeer.StartSMTPSink(t)
	proxy := testpeer.StartNginx(t, testpeer.NginxOptions{
		Backend: sink.Addr, Cert: testcert.New(t, testcert.Options{}),
	})
	o := testpeer.OpenSSLOptions{SessionFile: filepath.Join(t.TempDir(), "session")}
	for i, resumed := range []bool{false, true} {
		d := testpeer.SendOpenSSL(t, proxy, o)
		if !d.Delivered || d.Resumed != resumed {
			t.Errorf("delivered %v, resumed %v, want true and %v:\n%s", d.Delivered, d.Resumed, resumed, d.Output)
		}
		if n := sink.Messages(); n != i+1 {
			t.Errorf("the sink has %d messages, want %d", n, i+1)
		}
	}
}

func TestNginxWithoutTLS(t *testing.T) {
	sink := testpeer.StartSMTPSink(t)
	proxy := testpeer.StartNginx(t, testpeer.NginxOptions{Backend: sink.Addr})
	sendPlain(t, proxy, 3)
	if n := sink.Messages(); n != 3 {
		t.Errorf("the sink has %d messages, want 3", n)
	}
}
