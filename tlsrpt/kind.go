package tlsrpt

// A PolicyType is the kind of a policy. Unknown ones are kept as given.
type PolicyType string

// The policy types of RFC 8460, Section 4.4.
const (
	PolicyTLSA PolicyType = "tlsa"            // DANE
	PolicySTS  PolicyType = "sts"             // MTA-STS
	NoPolicy   PolicyType = "no-policy-found" // neither
)

// Known tells whether the RFC has the type.
func (t PolicyType) Known() bool { return t == PolicyTLSA || t == PolicySTS || t == NoPolicy }

// A ResultType is the way in which sessions failed. Unknown ones are kept as given.
type ResultType string

// The result types of RFC 8460, Section 4.3.
const (
	STARTTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure" // all else, often a handshake that did not end
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	DANERequired            ResultType = "dane-required"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)

// Known tells whether the RFC has the type.
func (t ResultType) Known() bool {
	switch t {
	case STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid:
		return true
	}
	return false
}
