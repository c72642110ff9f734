package mtasts_test

// Each rejected text has one fault, and a part of the error that names it.
type rejected struct{ text, fault string }

var acceptedRecords = []string{
	"v=STSv1; id=20160831085700Z;", // RFC 8461, Section 3.1
	"v=STSv1;id=1",
	"v=STSv1 \t;\t id=abcdefghijklmnopqrstuvwxyz012345 \t; ",
	"v=STSv1; ext=a:b/c+d; id=1; x-y_z.9=!",
	"v=STSv1; id=first; id=second", // the first counts
	"v=STSv1; v=STSv2; id=1",
	"v=STSv1; mx=a; mx=b; id=1", // mx repeats in policies only
}

var rejectedRecords = []rejected{
	{"", `must begin with "v=STSv1;"`},
	{"v=STSv2; id=1", "must begin"},
	{"V=STSv1; id=1", "must begin"}, // %s in the grammar: case counts
	{"id=1; v=STSv1", "must begin"},
	{" v=STSv1; id=1", "must begin"},
	{"v=STSv1", "is empty"},
	{"v=STSv1;", "is empty"},
	{"v=STSv1; ;id=1", "field 1: is empty"},
	{"v=STSv1; id=1;;", "field 2: is empty"},
	{"v=STSv1; x=1", "no id"},
	{"v=STSv1; ID=1", "no id"},
	{"v=STSv1; id=", `id ""`},
	{"v=STSv1; id=2016-08-31", "letters and digits"},
	{"v=STSv1; id=abcdefghijklmnopqrstuvwxyz0123456", "1 to 32"}, // 33
	{"v=STSv1; id = 1", "not a field's name"},
	{"v=STSv1; id= 1", "letters and digits"},
	{"v=STSv1; id 1", `no "="`},
	{"v=STSv1; id=1; -x=1", "not a field's name"},
	{"v=STSv1; id=1; x=", "x: "},
	{"v=STSv1; id=1; x=a=b", "not a value"},
	{"v=STSv1; id=1; x=a b", "not a value"},
	{"v=STSv1; id=1; x=é", "printable ASCII"},
	{"v=STSv1; id=1; x=\x1b[2J", "printable ASCII"},
}

var acceptedPolicies = []string{
	// RFC 8461, Section 3.2
	"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n",
	"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 1296000\r\n",
	"version:STSv1\nmode:enforce\nmx:a.example\nmax_age:0",            // no space, no last line end
	"max_age: 0031557600\nmx: *.b\nmode: testing \t\nversion:\tSTSv1", // any order
	"version: STSv1\nmode: none\nmax_age: 86400\n",                    // Section 8.3: a policy's end
	"version: STSv1\nmode: none\nmx: a.example\nmax_age: 86400\n",
	"version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 5\nmax_age: nonsense\nmx: b.example\n",
	"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\nx-note: grüße: a b=c;d\nx_9.z: 1\n",
	"version: STSv1\nmode: enforce\nmx: xn--bcher-kva.example\nmax_age: 5\n",
	"version: STSv1\nmode: enforce\r\nmx: A.Example\nmax_age: 5\r\n",
}

// Each warned policy is accepted with one warning.
var warnedPolicies = []rejected{
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\n\n", "line 5 is empty"},
	{"version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmax_age: 5\r\n\r\n \t\r\n\n", "lines 5 to 7 are empty"},
	{"version: STSv1\nmode: none\nmax_age: 5\n ", "line 4 is empty, and the grammar of RFC 8461, Section 3.2 has no empty line: remove it"},
	{"version: STSv1\nmode: none\nmax_age: 5\n\n\n", "lines 4 to 5 are empty, and the grammar of RFC 8461, Section 3.2 has no empty line: remove them"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmx: 192.0.2.1\nmax_age: 5\n", // Zuplu/postfix-tlspol#70
		`mx "192.0.2.1" is an address, and senders compare mx with names of MX hosts: write the host's name`},
}

var rejectedPolicies = []rejected{
	{"version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 5\n", `mx "[192.0.2.1]" is an address`},
	{"version: STSv1\nmode: enforce\nmx: 2001:db8::1\nmax_age: 5\n", `mx "2001:db8::1" is an address`},
	{"version: STSv1\nmode: enforce\nmx: [IPv6:2001:db8::1]\nmax_age: 5\n", "is an address"},
	{"version: STSv1\nmode: enforce\nmx: a.example\n\nmax_age: 5\n\n", "line 4: is empty"},
	{"version: STSv1\n \t\nmode: none\nmax_age: 5\n", "line 2: is empty"},
	{"\n\n", "line 1: is empty"},
	{"", "no version"},
	{"mode: enforce\nmx: a.example\nmax_age: 5\n", "no version"},
	{"version: STSv1\nmx: a.example\nmax_age: 5\n", "no mode"},
	{"version: STSv1\nmode: enforce\nmx: a.example\n", "no max_age"},
	{"version: STSv1\nmode: enforce\nmax_age: 5\n", "no mx"},
	{"version: STSv1\nmode: testing\nmax_age: 5\n", "no mx"},
	{"version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 5\n", "only STSv1"},
	{"version: stsv1\nmode: enforce\nmx: a.example\nmax_age: 5\n", "only STSv1"},
	{"Version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\n", "no version"},
	{"version: STSv1\nmode: report\nmx: a.example\nmax_age: 5\n", "enforce, testing or none"},
	{"version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 5\n", "enforce, testing or none"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601\n", "at most 31557600"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 00000000005\n", "max_age"}, // 11 digits
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n", "max_age"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: +1\n", "max_age"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1 day\n", "max_age"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999999999999\n", "max_age"},
	{"version: STSv1\nmode: enforce\nmx: *\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx: *.\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx: mail.*.example\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx: mx*.example\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx: .example.com\nmax_age: 5\n", "mx"}, // a draft's wildcard
	{"version: STSv1\nmode: enforce\nmx: a.example.\nmax_age: 5\n", `"a.example." ends in a dot`},
	{"  version: STSv1\n  mode: enforce\n  mx: a.example\n  max_age: 5\n", "line 1: begins with a space"},
	{" version: STSv1\nmode: none\nmax_age: 5\n", "line 1: begins with a space"},
	{"\tversion: STSv1\nmode: none\nmax_age: 5\n", "line 1: begins with a space"},
	{"version: STSv1\nmode: enforce\nnmx: a.example\nmax_age: 5\n", "no mx"}, // Zuplu/postfix-tlspol#95
	{"This domain has no policy.\n\nNone at all.\n", "no colon"},
	{"version: STSv1\nmode: enforce\nmx: bücher.example\nmax_age: 5\n", "mx"}, // A-labels only
	{"version: STSv1\nmode: enforce\nmx: a.example b.example\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx: a.example, b.example\nmax_age: 5\n", "mx"},
	{"version: STSv1\nmode: enforce\nmx:\nmax_age: 5\n", "line 3"},
	{"version: STSv1\n\nmode: enforce\nmx: a.example\nmax_age: 5\n", "line 2: is empty"},
	{"version: STSv1\nmode enforce\nmx: a.example\nmax_age: 5\n", "line 2"},
	{"version : STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\n", "line 1"},
	{"version: STSv1\rmode: enforce\rmx: a.example\rmax_age: 5\r", "line 1"},
	{"\ufeffversion: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\n", "line 1"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\nx: \xff\n", "line 5"},
	{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 5\nx: \x1b[2J\n", "line 5"},
	{"<!DOCTYPE html>\n<title>mta-sts: not found</title>\n", "line 1"},
	{`{"version": "STSv1", "mode": "enforce", "mx": ["a.example"], "max_age": 5}`, "line 1"}, // a draft's JSON
}
