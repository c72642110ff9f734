package tlsrpt_test

import (
	"fmt"
	"os"

	"postern/tlsrpt"
)

func Example() {
	file, err := os.Open("testdata/microsoft_october_2024.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	report, err := tlsrpt.Parse(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range report.Policies {
		fmt.Printf("%s, %s: %d sessions failed\n", report.Organization, p.Policy.Type, p.Failed)
	}
	for _, w := range report.Warnings {
		fmt.Println(w)
	}
	// Output:
	// Microsoft Corporation, sts: 27 sessions failed
	// policies[0].failure-details[0]: has no details: some senders count unfinished handshakes this way (golang/go#70232)
}
