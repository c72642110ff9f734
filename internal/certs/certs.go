// Package certs holds the certificates that the server shows: it reads pairs
// of certificate and key, picks one for each ClientHello, and reads them anew
// when their files change. Where none are configured it makes its own.
//
//	store, err := certs.Open(pairs, log)
//	config := &tls.Config{GetCertificate: store.GetCertificate}
//
// # Which certificate a client gets
//
// Among those whose names hold the name that the client asked for (RFC 6066,
// Section 3), then those with a wildcard for it, then all: in each of the
// three, the first in the configured order that the client can use. So an ECDSA
// and an RSA pair stand side by side, and clients that know only RSA get in.
//
// A name that no certificate holds, that is no host name at all, or that is
// missing is no reason to refuse anyone: mail servers ask for all kinds of
// names, and few verify.
//
// # Limits
//
// A server name with a final dot never comes here. crypto/tls takes such a
// ClientHello for one that cannot be decoded and answers with the alert
// decode_error.
//
// # Concurrency
//
// A Store is safe for concurrent use. A handshake keeps the certificate it
// began with.
package certs
