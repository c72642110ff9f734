package mtasts_test

import (
	"fmt"

	"postern/mtasts"
)

func ExampleParsePolicy() {
	policy, err := mtasts.ParsePolicy([]byte("version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 1209600\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Mode, policy.MaxAge, policy.Matches("mx.example.com"), policy.Matches("example.net"))
	// Output: enforce 336h0m0s true false
}

func ExampleFindRecord() {
	record, err := mtasts.FindRecord([]string{"v=spf1 -all", "v=STSv1; id=20261128;"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record.ID)
	// Output: 20261128
}
