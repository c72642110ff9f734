package smtp

import (
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func TestMailboxesAsLongAsTheyMayBe(t *testing.T) {
	local := func(n int) string { return strings.Repeat("a", n) + "@example.org" }
	domain := func(n int) string { return "a@" + strings.Repeat(strings.Repeat("b", 62)+".", 4)[:n-4] + ".org" }
	label := func(n int) string { return "a@" + strings.Repeat("b", n) + ".org" }
	for _, tt := range []struct {
		mailbox string
		valid   bool
	}{
		{local(1), true}, {local(256), true}, {local(257), false},
		{domain(255), true}, {domain(256), false},
		{label(63), true}, {label(64), false},
		{"a@" + strings.Repeat("ü", 40) + ".org", true}, // 80 bytes in UTF-8, fewer as an A-label
	} {
		if _, err := parseMailbox(tt.mailbox); (err == nil) != tt.valid {
			t.Errorf("%s (%d bytes): %v", tt.mailbox, len(tt.mailbox), err)
		}
	}
}

// Each of these characters could end the address, or add one, in a server that reads it in
// another way.
func TestCharactersThatNoMailboxHas(t *testing.T) {
	const anywhere = "\"\\<>()[],;: \t@"
	for _, c := range anywhere {
		for _, mailbox := range []string{"a" + string(c) + "b@example.org", "a@exa" + string(c) + "mple.org"} {
			if c == '@' && strings.HasPrefix(mailbox, "a@b") {
				continue
			}
			if got, err := parseMailbox(mailbox); err == nil {
				t.Errorf("%s is read as %s", mailbox, got)
			}
		}
	}
	for _, c := range "!%" { // routes of old in the local part; nothing in a domain
		if _, err := parseMailbox("a" + string(c) + "b@example.org"); err != nil {
			t.Error(err)
		}
		if got, err := parseMailbox("a@exa" + string(c) + "mple.org"); err == nil {
			t.Errorf("read as %s", got)
		}
	}
	for _, literal := range []string{"[]", "[", "[a[b]", "[a]b]", "[a<b]", "[a>b]", "[a\\b]", "[a\"b]", "[a b]", "[a\tb]", "[a]b"} {
		if got, err := parseMailbox("a@" + literal); err == nil {
			t.Errorf("%s: read as %s", literal, got)
		}
	}
}

func TestQuotedLocalParts(t *testing.T) {
	for local, valid := range map[string]bool{
		`""`: true, `"a"`: true, `"a b@c"`: true, `"\""`: true, `"\\"`: true,
		`"`: false, `"a`: false, `"a"b`: false, `"""`: false, `"a"b"`: false, `"\"`: false, `"a\"`: false,
	} {
		if _, err := parseMailbox(local + "@example.org"); (err == nil) != valid {
			t.Errorf("%s: %v", local, err)
		}
	}
	if got, err := ParseMail(`FROM:<"@x">`, all); err == nil {
		t.Errorf("read as %+v", got)
	}
}

func TestPathOfARefusedCommand(t *testing.T) {
	for arg, want := range map[string]string{
		"TO:<a@example.org> NOTIFY=x": "a@example.org",
		"<a@example.org>":             "a@example.org",
		"TO: <<a@example.org>":        "a@example.org",
		`TO:<"a>b"@example.org>`:      `"a>b"@example.org`,
		`TO:<"a\">b"@example.org>`:    `"a\">b"@example.org`,
		"FROM:<>":                     "",
		"FROM:a@example.org":          "",
		"FROM:<a@example.org":         "",
		"":                            "",
	} {
		if got := PathIn(arg); got != want {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
}

func TestMailboxIsSplitAtItsLastAt(t *testing.T) {
	for mailbox, want := range map[string][2]string{
		"a@example.org": {"a", "example.org"}, `"a@b"@example.org`: {`"a@b"`, "example.org"}, "@example.org": {"", "example.org"},
	} {
		if local, domain, ok := SplitMailbox(mailbox); local != want[0] || domain != want[1] || !ok {
			t.Errorf("%s: %s, %s, %v", mailbox, local, domain, ok)
		}
	}
	if local, domain, ok := SplitMailbox("postmaster"); local != "" || domain != "" || ok {
		t.Errorf("postmaster: %s, %s, %v", local, domain, ok)
	}
}

func TestFoldedMailboxesCompareEqual(t *testing.T) {
	for _, pair := range [][2]string{
		{"Ann@Example.ORG.", "ann@example.org"},
		{"Ann@BÜCHER.example", "ann@xn--bcher-kva.example"},
		{"a@Under_Score.example", "a@under_score.example"}, // no host name, but in use
		{"a@[192.0.2.1]", "a@[192.0.2.1]"},
	} {
		if got := FoldMailbox(pair[0]); got != pair[1] {
			t.Errorf("%s: %s, want %s", pair[0], got, pair[1])
		}
	}
}

// FuzzFoldDomain compares the short way for ASCII with package idna.
func FuzzFoldDomain(f *testing.F) {
	for _, domain := range []string{
		"example.org", "EXAMPLE.org.", "a..b", ".a", "-a-.b", "ab--c.d", "xn--nxasmq6b.example", "XN--a.b",
		"_dmarc.a", "[192.0.2.1]", "a b", "a\x00b", "a%b@c", strings.Repeat("a", 70) + ".b", strings.Repeat("a.", 150), "", "b\u00fccher.example", "ex\u00adample.org",
	} {
		f.Add(domain)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		want := strings.ToLower(strings.TrimSuffix(domain, "."))
		if ascii, err := idna.Lookup.ToASCII(want); err == nil {
			want = ascii
		}
		if got := FoldDomain(domain); got != want {
			t.Errorf("%q is folded to %q, want %q", domain, got, want)
		}
	})
}
