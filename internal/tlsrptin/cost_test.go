package tlsrptin

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkCostliestReports is the processor time that a valid mail costs whose report is as large
// as the limits of package tlsrpt allow.
func BenchmarkCostliestReports(b *testing.B) {
	for name, policies := range map[string]string{
		"failures": `{"failure-details":[{}` + strings.Repeat(`,{}`, 99_000) + `]}`,
		"fields":   `{"failure-details":[{}` + strings.Repeat(`,{"result-type":"validation-failure","failed-session-count":1}`, 65_000) + `]}`,
		"policies": `{}` + strings.Repeat(`,{}`, 89_000), // they grow when they are stored
		"unknown":  `{"x":[1` + strings.Repeat(`,1`, 199_000) + `]}`,
		"names":    `{"a":1` + names(190_000) + `}`,
	} {
		mail := []byte(october.MailWith("application/tlsrpt+json", []byte(`{"report-id":"1","policies":[`+policies+`]}`)))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := parseMail(mail, nil, receipt{at: time.Now()}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// names are fields of a JSON object, all different.
func names(n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(`,"` + string(rune('a'+i%26)) + strings.Repeat("b", i%7) + strconv.Itoa(i) + `":1`)
	}
	return all.String()
}
