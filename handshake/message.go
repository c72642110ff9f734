package handshake

// A Type is what a [Message] is.
type Type uint8

// The types. Those of handshake messages are named as in RFC 8446, Section 4 and
// RFC 5246, Section 7.4.
const (
	Unknown Type = iota // a record that nothing is known of but its size
	ClientHello
	HelloRetryRequest
	ServerHello
	EncryptedExtensions
	CertificateRequest
	Certificate
	CertificateStatus
	CertificateVerify
	ServerKeyExchange
	ServerHelloDone
	ClientKeyExchange
	Finished
	NewSessionTicket
	EndOfEarlyData
	KeyUpdate
	HelloRequest
	ChangeCipherSpec // a record of its own type
	Alert            // a record of its own type
	ApplicationData  // a record of its own type; only the first of each side is kept
	NotTLS           // what is no TLS record
)

// An AlertText is the content of an alert (RFC 8446, Section 6).
type AlertText struct {
	Fatal       bool
	Description uint8
}
