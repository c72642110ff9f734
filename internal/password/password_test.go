package password_test

import (
	"strings"
	"testing"

	"postern/internal/password"
)

func TestOnlyThePasswordMatches(t *testing.T) {
	word, hash := password.New()
	stored, err := password.Parse(hash.String())
	if err != nil {
		t.Fatal(err)
	}
	if stored != hash || !stored.Matches(word) {
		t.Errorf("%q does not match %s", word, stored)
	}
	for _, wrong := range []string{"", word + "x", strings.ToLower(word), strings.Repeat("x", 1<<20)} {
		if stored.Matches(wrong) {
			t.Errorf("%.40q matches too", wrong)
		}
	}
	if (password.Hash{}).Matches("") {
		t.Error("nothing matches the hash of nothing")
	}
	if again, _ := password.New(); again == word {
		t.Error("two passwords are the same")
	}
}

// The hash of another program, which took it from the test vectors of the reference
// implementation (password "password", salt "somesalt").
func TestHashOfAnotherProgram(t *testing.T) {
	hash, err := password.Parse("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc")
	if err != nil {
		t.Fatal(err)
	}
	if !hash.Matches("password") || hash.Matches("Password") {
		t.Error("it does not match its password, or another")
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	for name, change := range map[string][2]string{
		"bcrypt":                  {good, "$2y$10$AAAAAAAAAAAAAAAAAAAAAA"},
		"argon2i":                 {"argon2id", "argon2i"},
		"a gigabyte":              {"m=256", "m=1048576"},
		"a thousand passes":       {"t=2", "t=1000"},
		"more threads than bytes": {"p=2", "p=300"},
		"no memory":               {"m=256", "m=8"},
		"no passes":               {"t=2", "t=0"},
		"no costs":                {"m=256,t=2,p=2", ""},
		"no key":                  {"bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", ""},
		"no salt":                 {"c29tZXNhbHQ", ""},
		"not base64":              {"c29tZXNhbHQ", "!!!"},
		"more":                    {"$argon2id", "x$argon2id"},
	} {
		if _, err := password.Parse(strings.Replace(good, change[0], change[1], 1)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := password.Parse(text); err == nil {
			if again, err := password.Parse(h.String()); err != nil || again != h {
				t.Errorf("%q becomes %q: %v", text, h, err)
			}
		}
	})
}
