package interop

import (
	"crypto/tls"
	"slices"
	"strings"

	"postern/handshake"
)

// lack is the first thing that a ClientHello does not share with what servers take
// today, in the order in which a handshake needs them.
type lack int

const (
	lacksNothing lack = iota
	lacksVersion
	lacksSuite
	lacksGroup
	lacksSignature // all are with SHA-1
	lacksECDSA     // what is shared needs a certificate with an RSA key
)

// lacking says what h lacks against the defaults of crypto/tls. They are nearly
// those of other libraries, and the remedies differ little.
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

// highest is the newest version that h offers.
func highest(h *handshake.ClientHello) uint16 {
	if h.Versions == nil {
		return h.Version
	}
	newest := uint16(0)
	for _, v := range h.Versions {
		if !handshake.IsGREASE(v) {
			newest = max(newest, v)
		}
	}
	return newest
}

// sharedSuites are those of h that crypto/tls takes by default, in a version that h offers.
func sharedSuites(h *handshake.ClientHello) []uint16 {
	var shared []uint16
	for _, known := range tls.CipherSuites() {
		if slices.Contains(h.Suites, known.ID) && known.SupportedVersions[0] <= highest(h) {
			shared = append(shared, known.ID)
		}
	}
	return shared
}

// knownGroup reports whether crypto/tls has the group.
func knownGroup(group uint16) bool {
	switch tls.CurveID(group) {
	case tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521,
		tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024:
		return true
	}
	return false
}

// onlySHA1 reports whether h takes no signature but over SHA-1, which is what a
// TLS 1.2 client means that names none (RFC 5246, Section 7.4.1.4.1).
func onlySHA1(h *handshake.ClientHello) bool {
	if len(h.Signatures) == 0 {
		return h.Versions == nil
	}
	return !slices.ContainsFunc(h.Signatures, func(s uint16) bool { return !handshake.IsGREASE(s) && s>>8 != hashSHA1 })
}

// hashSHA1 is the upper byte of signature algorithms with SHA-1 (RFC 5246, Section 7.4.1.4.1).
const hashSHA1 = 2

// takesECDSA reports whether a shared suite works with an ECDSA certificate.
func takesECDSA(suite uint16) bool {
	return !strings.Contains(tls.CipherSuiteName(suite), "_RSA_")
}

// onlyRSA reports whether h takes signatures of RSA keys alone, and says so.
func onlyRSA(h *handshake.ClientHello) bool {
	return len(h.Signatures) > 0 && !slices.ContainsFunc(h.Signatures, func(s uint16) bool { return !handshake.IsGREASE(s) && !byRSA(s) })
}

// byRSA reports whether a signature algorithm is for RSA keys: those of RFC 5246,
// Section 7.4.1.4.1 by their lower byte, RSASSA-PSS of RFC 8446, Section 4.2.3 one by one.
func byRSA(signature uint16) bool {
	const rsa, lastHash = 1, 6
	switch signature {
	case 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b:
		return true
	}
	return signature&0xff == rsa && signature>>8 <= lastHash
}

// offersSession reports whether the client offered to resume. A session ID says so
// only without TLS 1.3, which fills it for other reasons (RFC 8446, Appendix D.4).
func offersSession(h *handshake.ClientHello) bool {
	return h.PSK || h.TicketTLS12 || h.SessionID && highest(h) < tls.VersionTLS13
}

// maxNamed bounds a list in an observation: hostile ones are long.
const maxNamed = 6

// list names numbers for an observation.
func list[T interface {
	~uint16
	String() string
}](numbers []uint16) string {
	var names []string
	for _, n := range numbers {
		if handshake.IsGREASE(n) {
			continue
		}
		if len(names) == maxNamed {
			names = append(names, "and more")
			break
		}
		names = append(names, T(n).String())
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// refused reports whether the server ended t with one of the alerts, and what the
// client's hello lacks first is want.
func refused(t *handshake.Transcript, want lack, alerts ...uint8) (Observation, bool) {
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
