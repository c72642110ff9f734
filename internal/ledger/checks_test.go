package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// checkNames returns the names of the checks that match f, in order.
func checkNames(t *testing.T, path string, f CheckFilter) string {
	t.Helper()
	found, err := reader(t, path).Checks(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range found {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func TestLastCheckOfAHostReplacesTheOneBefore(t *testing.T) {
	path := empty(t)
	l := Open(path, Options{})
	for i, content := range []string{`{"first":1}`, `{"second":2}`} {
		l.AddCheck(Check{Kind: HostCheck, Name: "mx.example.org", At: noon.Add(time.Duration(i) * time.Hour), Severity: i, Summary: []byte(`{}`), Content: []byte(content)})
	}
	l.AddCheck(Check{Kind: DomainCheck, Name: "mx.example.org", At: noon, Summary: []byte(`{}`), Content: []byte(`{"domain":1}`)})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path)
	c, err := r.Check(t.Context(), HostCheck, "mx.example.org")
	if err != nil || string(c.Content) != `{"second":2}` || !c.At.Equal(noon.Add(time.Hour)) || c.Severity != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if when, err := r.Checked(t.Context(), HostCheck); err != nil || when.Count != 1 || !when.Last.Equal(noon.Add(time.Hour)) {
		t.Errorf("checked %+v, %v", when, err)
	}
	if _, err := r.Check(t.Context(), HostCheck, "other.example.org"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a check that was not made: %v", err)
	}
}

func TestWorstChecksComeFirst(t *testing.T) {
	path := empty(t)
	l := Open(path, Options{})
	for name, severity := range map[string]int{"a.example": 0, "b.example": 3, "c.example": 0, "d%example": 1} {
		l.AddCheck(Check{Kind: DomainCheck, Name: name, At: noon, Severity: severity, Summary: []byte(`{}`)})
	}
	l.KeepChecks(DomainCheck, []string{"a.example", "b.example", "d%example"})
	l.Close()
	if got, want := checkNames(t, path, CheckFilter{Kind: DomainCheck}), "b.example d%example a.example"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := checkNames(t, path, CheckFilter{Kind: DomainCheck, Name: "D%"}); got != "d%example" {
		t.Errorf("filtered: %s", got)
	}
}

func TestChecksAreBounded(t *testing.T) {
	path := empty(t)
	l := Open(path, Options{})
	for i := range 2 * maxHostChecks {
		l.AddCheck(Check{Kind: HostCheck, Name: fmt.Sprintf("mx%03d.example", i), At: noon.Add(time.Duration(i) * time.Second), Summary: []byte(`{}`)})
	}
	l.AddCheck(Check{Kind: HostCheck, Name: "large.example", At: noon, Summary: make([]byte, maxSummary+1)})
	l.Close()
	s, _, err := openStore(path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r := &retention{maxSize: DefaultMaxSize}
	if err := r.byKind(s); err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(checkNames(t, path, CheckFilter{Kind: HostCheck}))
	if len(names) != maxHostChecks || names[0] != fmt.Sprintf("mx%03d.example", maxHostChecks) {
		t.Errorf("%d checks are left, the first of %s", len(names), names[0])
	}
	if err := s.forget(noon.Add(24*time.Hour), -1); err != nil {
		t.Fatal(err)
	}
	if left := checkNames(t, path, CheckFilter{Kind: HostCheck}); left != "" {
		t.Errorf("old checks are left: %s", left)
	}
}
