package testpeer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// What Postfix logs of its deliveries (smtp_tls_loglevel = 2).
var (
	postfixSent     = regexp.MustCompile(`postfix/smtp\[.*status=sent`)
	postfixBounced  = regexp.MustCompile(`postfix/smtp\[.*status=bounced`)
	postfixDeferred = regexp.MustCompile(`postfix/smtp\[.*status=deferred`)
	postfixResumed  = regexp.MustCompile(`postfix/smtp\[.*: Reusing old session`)
)

// SendPostfix queues messages in a Postfix of its own and returns when all of
// them have been delivered to addr or refused for good. Postfix insists on
// STARTTLS, takes any certificate, resumes where it can, has at most 20
// connections at a time, and tries again every second what was put off.
// What it delivers at first at the same time has no session to resume.
func SendPostfix(t T, addr string, o QueueOptions) QueueRun {
	t.Helper()
	o = o.orDefault()
	p := startPostfix(t, newFolder(t), append(senderSettings(t, addr, o.Handshake), o.Config...), nil)
	p.queue(t, o)
	await(t, p.daemon, "the queue to empty", func() error {
		if done := p.logged(postfixSent) + p.logged(postfixBounced); done < o.Messages {
			return fmt.Errorf("%d of %d messages done", done, o.Messages)
		}
		return nil
	})
	p.daemon.stop()
	return QueueRun{
		Sent:     p.logged(postfixSent),
		Bounced:  p.logged(postfixBounced),
		Deferred: p.logged(postfixDeferred),
		Resumed:  p.logged(postfixResumed),
		Log:      readLog(p.log),
	}
}

// senderSettings are the lines of main.cf for a Postfix that sends to addr.
func senderSettings(t T, addr string, h Handshake) []string {
	t.Helper()
	host, port := splitAddr(t, addr)
	settings := []string{
		"myhostname = sender.test",
		fmt.Sprintf("relayhost = [%s]:%s", host, port),
		"smtp_tls_security_level = encrypt",
		"smtp_tls_loglevel = 2",
		"smtp_tls_session_cache_database = " + cacheType(t) + ":$data_directory/smtp_scache",
		"minimal_backoff_time = 1s",
		"maximal_backoff_time = 1s",
		"queue_run_delay = 1s",
		// One refused handshake must not make all other messages wait.
		"default_destination_concurrency_failed_cohort_limit = 0",
		// A bounce would come to addr as one more message.
		"transport_maps = inline:{sender.test=discard:}",
	}
	return append(settings, handshakeSettings(t, h)...)
}

// handshakeSettings makes Postfix ask for h. It sets groups by itself, so
// OpenSSL's configuration file cannot; signature algorithms only that can.
func handshakeSettings(t T, h Handshake) []string {
	t.Helper()
	switch h {
	case RetriedHandshake:
		return []string{"tls_eecdh_auto_curves = " + strings.ReplaceAll(retryGroups, ":", " ")}
	case TLS12Handshake:
		return []string{"smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1, !TLSv1.3"}
	case RSAHandshake:
		return []string{
			"smtp_tls_mandatory_exclude_ciphers = aECDSA",
			"import_environment = MAIL_CONFIG OPENSSL_CONF=" + h.opensslConfig(t, newFolder(t)),
		}
	}
	return nil
}

// queue hands the messages to the running instance.
func (p *postfixInstance) queue(t T, o QueueOptions) {
	t.Helper()
	await(t, p.daemon, "the queue", func() error {
		conn, err := net.Dial("unix", p.dir.path("queue/public/pickup"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	cmd := exec.Command(program(t, "sendmail"), "-C", p.config, "-bs")
	cmd.Stdin = strings.NewReader(o.Message.batch(o.Messages))
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.config)
	output, err := cmd.CombinedOutput()
	if err == nil && strings.Count(string(output), "Ok: queued as ") < o.Messages {
		err = errors.New("not all messages were queued")
	}
	if err != nil {
		t.Fatalf("testpeer: sendmail -bs: %v\n%s%s", err, output, p.daemon.explain())
	}
}
