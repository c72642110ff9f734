package mtasts_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	. "postern/mtasts"
)

func TestPolicyOfTheRFC(t *testing.T) {
	p, err := ParsePolicy([]byte(acceptedPolicies[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{
		Mode:   Enforce,
		MX:     []string{"mail.example.com", "*.example.net", "backupmx.example.com"},
		MaxAge: 7 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	text, err := p.MarshalText()
	if want := strings.ReplaceAll("version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"+
		"mx: backupmx.example.com\nmax_age: 604800\n", "\n", "\r\n"); err != nil || string(text) != want {
		t.Errorf("wrote %q (%v), want %q", text, err, want)
	}
}

func TestPolicyKeepsFieldsItDoesNotKnow(t *testing.T) {
	p, err := ParsePolicy([]byte("x: one: 1\nversion: STSv1\nmode: none\nx: two\nmax_age: 5\ny: b c\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Field{{Name: "x", Value: "one: 1"}, {Name: "y", Value: "b c"}}; !reflect.DeepEqual(p.Extensions, want) {
		t.Errorf("got %q, want %q", p.Extensions, want)
	}
}

func TestFirstOfARepeatedFieldCountsButEveryMX(t *testing.T) {
	p, err := ParsePolicy([]byte("version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 5\nmax_age: x\nmx: b.example\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Policy{Mode: Enforce, MX: []string{"a.example", "b.example"}, MaxAge: 5 * time.Second}); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestAcceptedPoliciesAreReadBackTheSame(t *testing.T) {
	for _, text := range acceptedPolicies {
		if p, err := ParsePolicy([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		} else {
			samePolicy(t, p)
		}
	}
}

func TestFaultsThatMostSendersTakeAreWarnedOf(t *testing.T) {
	for _, w := range warnedPolicies {
		p, err := ParsePolicy([]byte(w.text))
		if err != nil || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], w.fault) {
			t.Errorf("%q: %+v, %v; want a warning with %q", w.text, p, err, w.fault)
		}
	}
	for _, text := range acceptedPolicies {
		if p, err := ParsePolicy([]byte(text)); err != nil || p.Warnings != nil {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

func samePolicy(t *testing.T, p *Policy) {
	t.Helper()
	text, err := p.MarshalText()
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	again, err := ParsePolicy(text)
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Fatalf("wrote %q, read %+v (%v), want %+v", text, again, err, p)
	}
}

func TestRejectedPoliciesNameTheirFault(t *testing.T) {
	for _, r := range rejectedPolicies {
		_, err := ParsePolicy([]byte(r.text))
		faulty(t, r, err)
	}
}

func TestPolicyMayHave64KiBAndNoMore(t *testing.T) {
	policy := acceptedPolicies[0] + "x: "
	policy += strings.Repeat("a", 64<<10-len(policy))
	if _, err := ParsePolicy([]byte(policy)); err != nil {
		t.Error(err)
	}
	_, err := ParsePolicy([]byte(policy + "a"))
	faulty(t, rejected{"64 KiB and a byte", "65536 at most"}, err)
}

func TestLargestPolicyIsWritten(t *testing.T) {
	p := &Policy{Mode: None, MaxAge: 31557600 * time.Second, Extensions: []Field{{Name: "x", Value: "a"}}}
	small, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	p.Extensions[0].Value = strings.Repeat("a", 64<<10-len(small)+1)
	if text, err := p.MarshalText(); err != nil || len(text) != 65536 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	p.Extensions[0].Value += "a"
	if _, err := p.MarshalText(); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "65537 bytes") {
		t.Errorf("a byte more: %v", err)
	}
}

func TestPolicyThatCannotBeReadBackIsNotWritten(t *testing.T) {
	mx := []string{"a.example"}
	for name, p := range map[string]Policy{
		"nothing":            {},
		"no mx":              {Mode: Testing},
		"mode":               {Mode: "report", MX: mx},
		"an address":         {Mode: Testing, MX: []string{"192.0.2.1"}},
		"line end in mx":     {Mode: Testing, MX: []string{"a.example\r\nmode: none"}},
		"mx in Unicode":      {Mode: Testing, MX: []string{"bücher.example"}},
		"negative age":       {Mode: Testing, MX: mx, MaxAge: -time.Second},
		"a second too old":   {Mode: Testing, MX: mx, MaxAge: 31557601 * time.Second},
		"half a second":      {Mode: Testing, MX: mx, MaxAge: time.Second / 2},
		"mx as extension":    {Mode: Testing, MX: mx, Extensions: []Field{{Name: "mx", Value: "b.example"}}},
		"version again":      {Mode: Testing, MX: mx, Extensions: []Field{{Name: "version", Value: "STSv1"}}},
		"mode again":         {Mode: Testing, MX: mx, Extensions: []Field{{Name: "mode", Value: "none"}}},
		"max_age again":      {Mode: Testing, MX: mx, Extensions: []Field{{Name: "max_age", Value: "5"}}},
		"line end in a name": {Mode: Testing, MX: mx, Extensions: []Field{{Name: "a\nb", Value: "c"}}},
		"space at the end":   {Mode: Testing, MX: mx, Extensions: []Field{{Name: "a", Value: "c "}}},
		"too large":          {Mode: Testing, MX: mx, Extensions: []Field{{Name: "a", Value: strings.Repeat("a", 64<<10)}}},
	} {
		if text, err := p.MarshalText(); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %.80q, %v", name, text, err)
		}
	}
}
