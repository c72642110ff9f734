package dkim

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// costly are the messages that cost most, within the limits: 12 MiB, as package tlsrpt reads.
func costly() map[string]string {
	const size = 12 << 20
	signatures := func(header, body string) string { // whose body hash is right, so that all is verified
		var all strings.Builder
		for n := range MaxSignatures {
			c, hash := "relaxed/relaxed", base64.StdEncoding.EncodeToString(bodyHash([]byte(body), n%2 == 0))
			if n%2 != 0 {
				c = "simple/simple"
			}
			fmt.Fprintf(&all, "DKIM-Signature: v=1; a=rsa-sha256; c=%s; d=signer.example; s=sel%d; h=%s; bh=%s; b=%s\r\n",
				c, n, header, hash, strings.Repeat("AAAA", 4096/8/3)+"AAA=")
		}
		return all.String()
	}
	body := func(line string) string { // half a million lines, or as many as have room
		n := size / len(line)
		if strings.Contains(line, "\n") {
			n = min(n, maxBodyLines)
		}
		text := strings.Repeat(line, n) + strings.Repeat("x", size-n*len(line))
		return signatures("From", text) + "From: a\r\n\r\n" + text
	}
	fields := strings.Repeat("F:x\r\n", maxHeaderLines-2*MaxSignatures)
	return map[string]string{
		"text":            body("a line of an ordinary length, as a report in base64 has, 76 characters long\r\n"),
		"no line":         body("x"),
		"empty lines":     body("\r\n"),
		"lines in LF":     body("\n"),
		"short lines":     body("x\r\n"),
		"spaces and tabs": body("x \t"),
		"lines of spaces": body(" \r\n"),
		"names":           signatures("From"+strings.Repeat(":f", 5_000), "x") + fields + "From: a\r\n\r\nx",
	}
}

// largeKey is the key that costs most: of 4,096 bits, with the largest exponent that package rsa
// takes.
func largeKey(b *testing.B) string {
	public := rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), maxRSA), big.NewInt(105)), E: 1<<31 - 1}
	data, err := x509.MarshalPKIXPublicKey(&public)
	if err != nil {
		b.Fatal(err)
	}
	return "p=" + base64.StdEncoding.EncodeToString(data)
}

// BenchmarkCostliestMessages is the processor time that a hostile message costs.
func BenchmarkCostliestMessages(b *testing.B) {
	record := largeKey(b)
	verifier := Verifier{func(context.Context, string) ([]string, error) { return []string{record}, nil }, "tlsrpt"}
	for name, mail := range costly() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := verifier.LookUpKeys(b.Context(), []byte(mail), received).Verify(); len(got) != MaxSignatures {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}
