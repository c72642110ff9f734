package manpage

import (
	"strings"
	"testing"
	"time"
)

var date = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// Nothing in a text is taken for a request to roff.
func TestTextIsNotMarkup(t *testing.T) {
	p := new(page)
	p.prose(`.Sh is at the beginning, and a \fBbackslash. 'br after it.`)
	const want = "\\&.Sh is at the beginning, and a \\efBbackslash.\n\\&'br after it.\n"
	if got := p.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestColumnsBecomeDefinitions(t *testing.T) {
	all := definitions("  0  success\n  1  a problem,\n     or two")
	if len(all) != 2 || all[1].term != `Li \&1` || all[1].meaning[0].text != "a problem,\nor two" {
		t.Errorf("got %v", all)
	}
	for _, code := range []string{"  tcpdump -i any", "  first  column\n  secondcolumn without one"} {
		if all := definitions(code); all != nil {
			t.Errorf("%q: got %v", code, all)
		}
	}
}

func TestSettings(t *testing.T) {
	page, err := Settings("# The file.\n\n# A name.\n# Default: none.\n#name = \"x\"\n\n# Limits.\n#[limits]\n\n# Bytes.\nsize = \"1MiB\"\n", date)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		".Dd November 28, 2026\n",
		".Sh DESCRIPTION\nThe file.\n.Sh SETTINGS\n.Bl -tag -width Ds\n.It Ic name \\&= \\(dqx\\(dq\nA name.\nDefault: none.\n.El\n",
		".Ss [limits]\\&\nLimits.\n.Bl -tag -width Ds\n.It Ic size \\&= \\(dq1MiB\\(dq\nBytes.\n.El\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}

// A comment that no key follows would be lost, or be printed below another key.
func TestSettingsRefusesWhatIsNeither(t *testing.T) {
	for _, file := range []string{"# The file.\n\nname\n", "# The file.\n\n#a = 1\n\n# Lost.\n\n#b = 2\n"} {
		if page, err := Settings(file, date); err == nil {
			t.Errorf("%q became\n%s", file, page)
		}
	}
}
