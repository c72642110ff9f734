package tlsrecord

import (
	"bytes"
	"testing"
)

func TestHeaderHasTypeVersionAndLength(t *testing.T) {
	header := AppendHeader([]byte("x"), ApplicationData, MaxCiphertext)[1:]
	if want := []byte{23, 3, 3, 0x41, 0x00}; !bytes.Equal(header, want) || len(header) != HeaderLen {
		t.Errorf("header %x, want %x", header, want)
	}
	if got := Length(header); got != MaxCiphertext {
		t.Errorf("length %d, want %d", got, MaxCiphertext)
	}
}

func TestContentTypesAreKnown(t *testing.T) {
	for b, want := range map[byte]bool{19: false, 20: true, 22: true, 24: true, 25: false, 'E': false} {
		if IsType(b) != want {
			t.Errorf("IsType(%d) = %v", b, !want)
		}
	}
}

func TestHandshakeRecordIsKnownByItsFirstBytes(t *testing.T) {
	for b, want := range map[string]bool{"": false, "\x16": true, "\x16\x03\x01\x02": true, "\x16\x02": false, "EHLO": false, "\x17\x03\x03": false} {
		if BeginsHandshake([]byte(b)) != want {
			t.Errorf("BeginsHandshake(%q) = %v", b, !want)
		}
	}
}

func TestSSL2HelloIsKnownByItsFirstBytes(t *testing.T) {
	for b, want := range map[string]bool{
		"\x80\x2e\x01\x03\x01\x00\x15\x00": true, "\x80\x2e\x01\x00\x02\x00\x15": true, "\x80\x2e\x01\x03\x01": false,
		"\x80\x2e\x04\x03\x01\x00\x15": false, "\x80\x2e\x01\x03\x01\x00\x16": false, "\x00\x2e\x01\x03\x01\x00\x15": false, "EHLO mx.example": false,
	} {
		if BeginsSSL2Hello([]byte(b)) != want {
			t.Errorf("BeginsSSL2Hello(%q) = %v", b, !want)
		}
	}
}
