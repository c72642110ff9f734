package handshake_test

import (
	"crypto/tls"
	"encoding"
	"fmt"
	"strings"
	"testing"

	. "postern/handshake"
)

type named interface {
	fmt.Stringer
	encoding.TextMarshaler
}

// backAgain checks that every number below n has a name that is read back as the number.
func backAgain[N interface {
	~uint8 | ~uint16
	named
}, P interface {
	*N
	encoding.TextUnmarshaler
}](t *testing.T, n int) {
	t.Helper()
	for i := range n {
		want := N(i)
		text, err := want.MarshalText()
		if err != nil {
			t.Fatalf("%T(%d): %v", want, i, err)
		}
		if string(text) != want.String() {
			t.Errorf("%T(%d) is %s as text and %s as a string", want, i, text, want)
		}
		var got N
		if err := P(&got).UnmarshalText(text); err != nil || got != want {
			t.Errorf("%T(%d) is written %s and read as %d, %v", want, i, text, got, err)
		}
	}
	if i := N(n); int(i) == n {
		if text, err := i.MarshalText(); err == nil {
			t.Errorf("%T(%d) is written as %s, but means nothing", i, n, text)
		}
	}
}

func TestEveryNumberIsReadBackFromItsName(t *testing.T) {
	const all8, all16 = 1 << 8, 1 << 16
	backAgain[Version](t, all16)
	backAgain[Suite](t, all16)
	backAgain[Group](t, all16)
	backAgain[SignatureScheme](t, all16)
	backAgain[Extension](t, all16)
	backAgain[AlertDescription](t, all8)
	backAgain[PSKMode](t, all8)
	backAgain[MessageType](t, int(TypeNotTLS)+1)
	backAgain[View](t, int(OnWire)+1)
	backAgain[Side](t, int(Server)+1)
	backAgain[Use](t, int(UseMail)+1)
	backAgain[EndKind](t, int(EndDropped)+1)
}

func TestNamesAreThoseOfTheRegistries(t *testing.T) {
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{Version(0x0304), "TLS 1.3"}, {Version(0x0300), "SSL 3.0"}, {Version(0x7f1c), "0x7f1c"},
		{Suite(0x00ff), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"}, {Suite(0x0016), "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"},
		{Suite(0xbaba), "GREASE 0xbaba"}, {Suite(0xbabb), "0xbabb"}, {Suite(0xffff), "0xffff"},
		{Group(29), "x25519"}, {Group(4588), "X25519MLKEM768"}, {Group(0x0a0a), "GREASE 0x0a0a"},
		{SignatureScheme(0x0804), "rsa_pss_rsae_sha256"}, {SignatureScheme(0x0905), "mldsa65"},
		{Extension(0), "server_name"}, {Extension(43), "supported_versions"}, {Extension(0xfafa), "GREASE 0xfafa"},
		{AlertDescription(0), "close_notify"}, {AlertDescription(48), "unknown_ca"}, {AlertDescription(10), "unexpected_message"},
		{AlertDescription(0x0a ^ 0xff), "0xf5"},
		{PSKMode(1), "psk_dhe_ke"}, {PSKMode(0xe4), "GREASE 0xe4"}, {PSKMode(2), "0x02"},
		{TypeUnknown, "Unknown"}, {TypeClientHello, "ClientHello"}, {TypeNewSessionTicket, "NewSessionTicket"},
		{TypeCertificateStatus, "CertificateStatus"}, {TypeNotTLS, "NotTLS"}, {MessageType(99), "0x63"},
		{AtServer, "server"}, {OnWire, "wire"}, {UnknownSide, "unknown"}, {Client, "client"}, {UseMail, "mail"},
		{EndOpen, "open"}, {EndTimeout, "timed_out"}, {EndDropped, "dropped"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%T: %s, want %s", c.got, c.got, c.want)
		}
	}
}

// crypto/tls is a second list of the same registries.
func TestNamesAgreeWithCryptoTLS(t *testing.T) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := Suite(suite.ID).String(); got != suite.Name {
			t.Errorf("suite %#04x: %s, want %s", suite.ID, got, suite.Name)
		}
	}
	for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS13; v++ {
		if got := Version(v).String(); got != tls.VersionName(v) {
			t.Errorf("version %#04x: %s, want %s", v, got, tls.VersionName(v))
		}
	}
	for _, group := range []tls.CurveID{tls.X25519, tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024} {
		if got := Group(group).String(); !strings.EqualFold(got, group.String()) {
			t.Errorf("group %d: %s, want %s", group, got, group)
		}
	}
}

func TestNumberIsAcceptedForAName(t *testing.T) {
	var suite Suite
	if err := suite.UnmarshalText([]byte("0x1301")); err != nil || suite != 0x1301 {
		t.Errorf("0x1301 is read as %v, %v: its writer may have had no name for it", suite, err)
	}
	var side Side
	if err := side.UnmarshalText([]byte("0x01")); err == nil {
		t.Errorf("0x01 is read as the side %v, but a side has a name", side)
	}
}
