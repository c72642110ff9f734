package fleet

import (
	"bytes"
	"errors"
	"testing"
)

func sealerOf(t *testing.T, secret, prefix string) *sealer {
	t.Helper()
	s, err := newSealer([]byte(secret), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const secret = "0123456789abcdef0123456789abcdef"

// sealNewer returns what a newer version could seal.
func (s *sealer) sealNewer(name string) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	return s.aead.Seal(nonce, nonce, []byte{sealedVersion + 1, 1, 2, 3}, []byte(name))
}

func TestSealedValueOpensUnderItsNameOnly(t *testing.T) {
	s := sealerOf(t, secret, "postern")
	sealed := s.seal("smtp", []byte("the keys"))
	if got, err := s.open("smtp", sealed); err != nil || string(got) != "the keys" {
		t.Errorf("open: %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("keys")) {
		t.Error("the value can be read")
	}
	if bytes.Equal(sealed, s.seal("smtp", []byte("the keys"))) {
		t.Error("the same value is sealed alike twice")
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	newer := s.sealNewer("smtp")
	forged := bytes.Clone(newer)
	forged[0]++
	for _, test := range []struct {
		what   string
		with   *sealer
		name   string
		sealed []byte
		want   error
	}{
		{"another name", s, "imap", sealed, errSecret},
		{"another secret", sealerOf(t, "fedcba9876543210fedcba9876543210", "postern"), "smtp", sealed, errSecret},
		{"another fleet with the same secret", sealerOf(t, secret, "other"), "smtp", sealed, errSecret},
		{"a changed byte", s, "smtp", changed, errSecret},
		{"a part", s, "smtp", sealed[:10], errSecret},
		{"nothing", s, "smtp", nil, errSecret},
		{"a newer version", s, "smtp", newer, errNewer},
		{"a newer version, by a stranger", s, "smtp", forged, errSecret},
	} {
		if got, err := test.with.open(test.name, test.sealed); !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v, want %v", test.what, got, err, test.want)
		}
	}
}

func TestNamesHideWhatTheyAreMadeFrom(t *testing.T) {
	s := sealerOf(t, secret, "postern")
	again := sealerOf(t, secret, "postern")
	if s.name("192.0.2.0/24 a") != again.name("192.0.2.0/24 a") || s.name("192.0.2.0/24 a") == s.name("192.0.2.0/24 b") {
		t.Error("a name is not that of one thing")
	}
	if s.name("192.0.2.0/24 a") == sealerOf(t, "fedcba9876543210fedcba9876543210", "postern").name("192.0.2.0/24 a") {
		t.Error("who does not know the secret can find the name of a network")
	}
}
