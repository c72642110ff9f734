package interop

import (
	"crypto/tls"
	"slices"
	"strings"

	"postern/handshake"
)

// lack is the first thing that a ClientHello does not share with current servers, in the
// order in which a handshake needs them.
type lack int

const (
	lacksNothing lack = iota
	lacksVersion
	lacksSuite
	lacksGroup
	lacksSignature // all signature algorithms use SHA-1
	lacksECDSA     // what is shared needs a certificate with an RSA key
)

// lacking returns what h lacks, compared with the defaults of crypto/tls. Those of other
// libraries are nearly the same, and the remedies differ little.
func lacking(h *handshake.ClientHello) lack {
	switch suites := sharedSuites(h); {
	case highest(h) < tls.VersionTLS12:
		return lacksVersion
	case len(suites) == 0:
		return lacksSuite
	case len(h.Groups) > 0 && !slices.ContainsFunc(h.Groups, knownGroup):
		return lacksGroup
	case onlySHA1(h):
		return lacksSignature
	case !slices.ContainsFunc(suites, takesECDSA), onlyRSA(h):
		return lacksECDSA
	}
	return lacksNothing
}

// highest returns the newest version that h offers.
func highest(h *handshake.ClientHello) handshake.Version {
	if h.Versions == nil {
		return h.Version
	}
	newest := handshake.Version(0)
	for _, v := range h.Versions {
		if !handshake.IsGREASE(v) {
			newest = max(newest, v)
		}
	}
	return newest
}

// sharedSuites returns the suites of h that crypto/tls accepts by default, in a version
// that h offers.
func sharedSuites(h *handshake.ClientHello) []handshake.Suite {
	var shared []handshake.Suite
	for _, known := range tls.CipherSuites() {
		suite, oldest := handshake.Suite(known.ID), handshake.Version(known.SupportedVersions[0])
		if slices.Contains(h.Suites, suite) && oldest <= highest(h) {
			shared = append(shared, suite)
		}
	}
	return shared
}

// knownGroup reports whether crypto/tls has the group.
func knownGroup(group handshake.Group) bool {
	switch tls.CurveID(group) {
	case tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521,
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024:
		return true
	}
	return false
}

// onlySHA1 reports whether h accepts signatures over SHA-1 only. A TLS 1.2 client that
// names no algorithm means that too (RFC 5246, Section 7.4.1.4.1).
func onlySHA1(h *handshake.ClientHello) bool {
	if len(h.Signatures) == 0 {
		return h.Versions == nil
	}
	return !offersSignature(h, func(s handshake.SignatureScheme) bool { return s>>8 != hashSHA1 })
}

// hashSHA1 is the upper byte of signature algorithms with SHA-1 (RFC 5246, Section 7.4.1.4.1).
const hashSHA1 = 2

// takesECDSA reports whether a shared suite works with an ECDSA certificate.
func takesECDSA(suite handshake.Suite) bool {
	return !strings.Contains(suite.String(), "_RSA_")
}

// onlyRSA reports whether h names signature algorithms, all of them for RSA keys.
func onlyRSA(h *handshake.ClientHello) bool {
	return len(h.Signatures) > 0 && !offersSignature(h, func(s handshake.SignatureScheme) bool { return !byRSA(s) })
}

func offersSignature(h *handshake.ClientHello, such func(handshake.SignatureScheme) bool) bool {
	return slices.ContainsFunc(h.Signatures, func(s handshake.SignatureScheme) bool {
		return !handshake.IsGREASE(s) && such(s)
	})
}

// byRSA reports whether a signature algorithm is for RSA keys: those of RFC 5246,
// Section 7.4.1.4.1 by their lower byte, RSASSA-PSS of RFC 8446, Section 4.2.3 by number.
func byRSA(signature handshake.SignatureScheme) bool {
	const rsa, lastHash = 1, 6
	switch signature {
	case 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b:
		return true
	}
	return signature&0xff == rsa && signature>>8 <= lastHash
}

// offersSession reports whether the client offered to resume. A session ID says so only
// without TLS 1.3, which fills it for other reasons (RFC 8446, Appendix D.4).
func offersSession(h *handshake.ClientHello) bool {
	return h.PSK || h.TicketTLS12 || h.SessionID && highest(h) < tls.VersionTLS13
}

// maxNamed bounds a list in an observation: hostile lists are long.
const maxNamed = 6

// list names the values of a ClientHello for an observation.
func list[N interface {
	~uint16
	String() string
}](values []N) string {
	var names []string
	for _, n := range values {
		if handshake.IsGREASE(n) {
			continue
		}
		if len(names) == maxNamed {
			names = append(names, "and more")
			break
		}
		names = append(names, n.String())
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// refused reports whether the server ended t with one of the alerts, and the first thing
// that the ClientHello lacks is want.
func refused(t *handshake.Transcript, want lack, alerts ...handshake.AlertDescription) (Observation, bool) {
	description, message, ok := alerted(t, handshake.Server)
	if !ok || !slices.Contains(alerts, description) || t.ClientHello == nil || lacking(t.ClientHello) != want {
		return Observation{}, false
	}
	return alert(description, "the server", message), true
}

// helloAt is an observation about the ClientHello.
func helloAt(t *handshake.Transcript, text string) Observation {
	return Observation{text, index(t, handshake.Client, handshake.TypeClientHello)}
}
