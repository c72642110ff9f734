package load

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// clientConfig is TLS 1.3 with one group, the same for every server: what a
// newer library would add to the key exchange, an older one does not know.
func clientConfig(l Load) *tls.Config {
	groups := l.Groups
	if groups == nil {
		groups = []tls.CurveID{tls.X25519}
	}
	return &tls.Config{
		ServerName:         "localhost",
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   groups,
		ClientSessionCache: &ticketJar{resume: l.Resume},
		// A mail server that sends does not know whom to trust, mostly.
		InsecureSkipVerify: true,
		VerifyConnection:   shows(l.Certificate),
		// One record for a write, as other libraries do.
		DynamicRecordSizingDisabled: true,
	}
}

var errCertificate = errors.New("server shows another certificate than it was given")

// shows checks that the server has the certificate.
func shows(cert *x509.Certificate) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if !bytes.Equal(state.PeerCertificates[0].Raw, cert.Raw) {
			return errCertificate
		}
		return nil
	}
}

// ticketJar keeps the ticket that a server gave last. It gives the same one
// out again until there is a newer one: OpenSSL sends none with a resumed
// handshake while the key of the old one is good. Without resume it keeps none,
// but since there is a cache the client still says that it takes tickets. One
// sender uses it.
type ticketJar struct {
	resume bool
	ticket *tls.ClientSessionState
}

func (j *ticketJar) Get(string) (*tls.ClientSessionState, bool) {
	return j.ticket, j.ticket != nil
}

func (j *ticketJar) Put(_ string, ticket *tls.ClientSessionState) {
	if j.resume {
		j.ticket = ticket
	}
}
