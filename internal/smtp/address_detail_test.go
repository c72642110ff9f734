package smtp

import (
	"strings"
	"testing"
)

func TestAddressDetail(t *testing.T) {
	for _, tt := range []struct{ text, domain, none string }{
		{"550 5.1.1 <Ann@example.org>: Recipient address rejected: User unknown",
			"550 5.1.1 <…@example.org>: Recipient address rejected: User unknown", "550 5.1.1 <…>: Recipient address rejected: User unknown"},
		{"ann.o'hara+tag@example.org, bob@[192.0.2.1]", "…@example.org, …@[192.0.2.1]", "…, …"},
		{`"ann lee"@example.org`, "…@example.org", "…"},
		{"SRS0=x=y=example.net=ann@example.org", "…@example.org", "…"},
		{"see http://spf.example/why?id=ann%40example.org;ip=192.0.2.1", "see http:…%40example.org;ip=192.0.2.1", "see http:…;ip=192.0.2.1"},
		{"dörte@пример.example", "…@пример.example", "…"},
		{"450 4.2.0 greylisted @ home", "450 4.2.0 greylisted @ home", "450 4.2.0 greylisted @ home"},
	} {
		for detail, want := range map[AddressDetail]string{FullAddress: tt.text, DomainOnly: tt.domain, NoAddress: tt.none} {
			if got := detail.In(tt.text); got != want {
				t.Errorf("%v in %s: %s, want %s", detail, tt.text, got, want)
			}
		}
	}
	for detail, want := range map[AddressDetail]string{FullAddress: "Ann@Example.org", DomainOnly: "example.org", NoAddress: ""} {
		if got := detail.Of("Ann@Example.org"); got != want {
			t.Errorf("%v: %q, want %q", detail, got, want)
		}
	}
	for text, want := range map[string]AddressDetail{"full": FullAddress, "domain": DomainOnly, "none": NoAddress} {
		var parsed AddressDetail
		if err := parsed.UnmarshalText([]byte(text)); err != nil || parsed != want || parsed.String() != text {
			t.Errorf("%s became %v, %v", text, parsed, err)
		}
	}
	if DomainOnly.Of("postmaster") != "" || DomainOnly.Of("") != "" {
		t.Error("a bare postmaster has a domain")
	}
	if new(AddressDetail).UnmarshalText([]byte("half")) == nil {
		t.Error("half is a detail")
	}
}

// FuzzAddressDetail looks for a text that keeps the local part of an address.
func FuzzAddressDetail(f *testing.F) {
	f.Add("550 <", "> unknown")
	f.Add("", "")
	f.Add(`"`, `"`)
	f.Add(`""@`, "")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "ann.secret7"
		if strings.Contains(before, secret) || strings.Contains(after, secret) {
			t.Skip()
		}
		for _, detail := range []AddressDetail{DomainOnly, NoAddress} {
			if got := detail.In(before + secret + "@example.org" + after); strings.Contains(got, secret) {
				t.Fatalf("%v: %q", detail, got)
			}
		}
	})
}
