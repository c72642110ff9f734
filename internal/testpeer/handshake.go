package testpeer

// Handshake is the kind of TLS handshake that a client is made to ask for.
type Handshake int

const (
	// UsualHandshake is what the client does by itself.
	UsualHandshake Handshake = iota
	// RetriedHandshake is TLS 1.3 with key shares only for groups that crypto/tls
	// lacks, so that a Go server answers with a HelloRetryRequest (RFC 8446,
	// Section 4.1.4). A server that knows X448 takes it without.
	RetriedHandshake
	// TLS12Handshake offers TLS 1.2 at most.
	TLS12Handshake
	// RSAHandshake accepts signatures by RSA keys alone, so that a server with
	// two certificates has to choose.
	RSAHandshake
)

// Handshakes are all kinds, for tests that try each.
var Handshakes = []Handshake{UsualHandshake, RetriedHandshake, TLS12Handshake, RSAHandshake}

// String returns a name fit for a subtest.
func (h Handshake) String() string {
	return [...]string{"Usual", "Retried", "TLS12", "RSA"}[h]
}

// retryGroups is RetriedHandshake in OpenSSL's words: one key share, for the first.
const retryGroups = "X448:X25519"

// RSAHandshake in the words of OpenSSL: signatures for TLS 1.3, cipher suites for TLS 1.2.
const (
	rsaSignatures = "RSA-PSS+SHA256:RSA+SHA256"
	rsaCiphers    = "DEFAULT:!aECDSA"
)

// opensslLines are the settings of OpenSSL's configuration file for h:
// SSL_CONF_cmd(3), "Supported configuration file commands".
func (h Handshake) opensslLines() []string {
	switch h {
	case RetriedHandshake:
		return []string{"Groups = " + retryGroups}
	case TLS12Handshake:
		return []string{"MaxProtocol = TLSv1.2"}
	case RSAHandshake:
		return []string{"SignatureAlgorithms = " + rsaSignatures, "CipherString = " + rsaCiphers}
	}
	return nil
}

// opensslConfig writes a configuration file that makes every program on
// OpenSSL handshake as h says when OPENSSL_CONF points to it.
func (h Handshake) opensslConfig(t T, dir folder) string {
	t.Helper()
	lines := []string{
		"openssl_conf = program",
		"[program]", "ssl_conf = contexts",
		"[contexts]", "system_default = every_context",
		"[every_context]",
	}
	return dir.write(t, "openssl.cnf", append(lines, h.opensslLines()...)...)
}

// gnutlsPriority is h as a GnuTLS priority string. GnuTLS sends a key share
// for the first group of each of two kinds; these two are of one kind.
func (h Handshake) gnutlsPriority() string {
	switch h {
	case RetriedHandshake:
		return "NORMAL:-GROUP-ALL:+GROUP-X448:+GROUP-X25519"
	case TLS12Handshake:
		return "NORMAL:-VERS-ALL:+VERS-TLS1.2"
	case RSAHandshake:
		return "NORMAL:-KX-ALL:+ECDHE-RSA:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256"
	}
	return "NORMAL"
}
