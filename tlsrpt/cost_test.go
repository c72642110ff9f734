package tlsrpt_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	. "postern/tlsrpt"
)

// costly are the mails of MaxMailSize that cost most.
func costly(tb testing.TB) map[string]string {
	const top = "Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n"
	part := func(kind, content string) string {
		return "--b\r\nContent-Type: " + kind + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(content)) + "\r\n"
	}
	most := func(values int, begin, repeat, end string) string {
		n := (MaxReportSize - len(begin) - len(end)) / len(repeat)
		return begin + strings.Repeat(repeat, min(n, 199_000/values)) + end
	}
	// Just below the limits of values and bytes, and at its end not a report.
	failing := most(3, `{"report-id":"1","policies":[{"failure-details":[{}`, `,{"sending-mta-ip":"1","result-type":"a"}`, `]},1]}`)
	valid := most(2, `{"report-id":"1","policies":[{"failure-details":[{}`, `,{}`, `]}]}`)
	strs := most(1, `{"report-id":"1","policies":[{"policy":{"policy-string":["`, "\\u0000", `"]}}]}`)
	var nested strings.Builder
	for i := range 8 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	fill := func(mail, line string) string { // as many lines as are allowed, and then the rest as one
		n := (MaxMailSize - len(mail) - 100) / len(line)
		if strings.Contains(line, "\n") {
			n = min(n, 490_000)
		}
		return mail + strings.Repeat(line, n) + strings.Repeat("x", MaxMailSize-100-len(mail)-n*len(line))
	}
	return map[string]string{
		"four candidates":         top + strings.Repeat(part("application/tlsrpt+gzip", string(zip(tb, []byte(failing)))), 4) + "--b--\r\n",
		"many failures":           top + part("application/tlsrpt+json", valid) + "--b--\r\n",
		"control characters":      top + part("application/tlsrpt+gzip", string(zip(tb, []byte(strs)))) + "--b--\r\n",
		"nested parts":            fill(nested.String()+"\r\n", "x\r\n"),
		"almost boundaries":       fill(nested.String()+"\r\n", "--b\r\n"),
		"folded header":           fill("A: b\r\n", " x\r\n"),
		"many fields":             fill("", "A:b\r\n"),
		"one long field":          fill("A: ", "x"),
		"folded header of a part": fill(top+"--b\r\nA: b\r\n", " x\r\n"),
		"many fields in parts":    top + strings.Repeat("--b\r\n"+strings.Repeat("A:b\r\n", 5_000)+"\r\nx\r\n", 95),
		"quoted-printable":        fill("Content-Transfer-Encoding: quoted-printable\r\nContent-Type: application/tlsrpt+json\r\n\r\n{", "=20=\r\n"),
	}
}

// BenchmarkCostliestMails is the processor time that a hostile mail costs.
func BenchmarkCostliestMails(b *testing.B) {
	for name, mail := range costly(b) {
		b.Run(name, func(b *testing.B) {
			if len(mail) > MaxMailSize {
				b.Fatal(len(mail))
			}
			var err error
			for b.Loop() {
				_, err = ParseMail(bytes.NewReader([]byte(mail)))
			}
			b.Logf("%d bytes: %.80v", len(mail), err)
		})
	}
}
